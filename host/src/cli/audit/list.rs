//! `bulkhead audit list`: rows of one log, newest first, and the filters that exports share.

use crate::cli::client::{Paging, Target};
use crate::cli::terminal::view::{at, more};
use crate::cli::terminal::{Failure, Output};

/// What rows are narrowed to.
#[derive(Debug, clap::Args)]
pub(super) struct Narrowed {
    /// actions, provisioning, deliveries, tools or egress.
    #[arg(long, default_value = "actions")]
    pub(super) source: String,
    /// At or after, such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// A key's id, `operator`, or the part of the host that acted.
    #[arg(long)]
    actor: Option<String>,
    /// Such as api_key.created.
    #[arg(long)]
    action: Option<String>,
    /// done, refused, delivered or failed.
    #[arg(long)]
    status: Option<String>,
}

impl Narrowed {
    pub(super) fn query(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("actor", self.actor.clone()),
            ("action", self.action.clone()),
            ("status", self.status.clone()),
        ]
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    narrowed: Narrowed,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn list(args: List, out: Output) -> Result<(), Failure> {
    let query = args.paging.after(args.narrowed.query());
    let path = ["audit", args.narrowed.source.as_str()];
    let page = args.target.client()?.get(&path, &query).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten().map(|row| {
        [
            at(row, "/seq"),
            at(row, "/at"),
            at(row, "/actor/id"),
            at(row, "/action"),
            at(row, "/target/id"),
            at(row, "/status"),
            at(row, "/code"),
            at(row, "/ip"),
        ]
    });
    out.table(
        [
            "row", "at", "actor", "action", "target", "status", "code", "from",
        ],
        rows.collect(),
    );
    more(&page).inspect(|more| out.note(more));
    Ok(())
}
