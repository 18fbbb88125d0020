//! What the payment provider did not take, for the operator who holds the database: an organization sees its own rows,
//! and cannot settle what it owes.

use serde_json::json;

use super::operator::At;
use crate::billing::charge::{BillingRowId, SettleAs};
use crate::cli::terminal::{Failure, Output};

/// Rows of one list; who has more settles these first.
const LISTED_MAX: i64 = 1_000;

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
pub(super) struct Settle {
    /// The row, as `bulkhead usage reconcile` lists it: its identifier at the provider, too.
    row: BillingRowId,
    /// `exported`: it arrived, or is charged in another way. `again`: it did not arrive, and is sent again.
    #[arg(value_name = "exported|again")]
    settle_as: As,
    #[command(flatten)]
    at: At,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum As {
    Exported,
    Again,
}

pub(super) async fn list(args: List, out: Output) -> Result<(), Failure> {
    let rooms = args.at.rooms().await?;
    let rows = rooms.reconciliation.all(LISTED_MAX).await?;
    if out.is_json() {
        return out.json(&json!({ "data": rows }));
    }
    let rows = rows.into_iter().map(|row| {
        [
            row.id.to_string(),
            row.org,
            row.day,
            row.value.to_string(),
            row.meter,
            row.reason,
            row.said.unwrap_or_default(),
        ]
    });
    out.table(
        ["row", "organization", "day", "used", "of", "why", "said"],
        rows.collect(),
    );
    Ok(())
}

pub(super) async fn settle(args: Settle, out: Output) -> Result<(), Failure> {
    let settle_as = match args.settle_as {
        As::Exported => SettleAs::Exported,
        As::Again => SettleAs::Again,
    };
    let rooms = args.at.rooms().await?;
    rooms.reconciliation.settle(args.row, settle_as).await?;
    if out.is_json() {
        return out.json(&json!({ "row": args.row, "settled": settle_as.as_str() }));
    }
    match settle_as {
        SettleAs::Exported => out.line(format!("{} counts as exported", args.row)),
        SettleAs::Again => out.line(format!("{} is sent again", args.row)),
    }
    Ok(())
}
