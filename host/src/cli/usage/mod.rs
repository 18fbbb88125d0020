//! `bulkhead usage`: what the organization used and what it costs, over HTTP; and, for the operator who holds the
//! database, tiers, who has which, what an organization may spend, and what the payment provider did not take.

mod operator;
mod reconcile;
mod show;

use super::terminal::{Failure, Output};

/// Show and export usage; tiers and caps, for the operator
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead usage show                                   the current month of UTC, by day
  bulkhead usage show --period 2026-11 --by model
  bulkhead usage export --by agent > usage.csv
  bulkhead usage tiers                                  the operator, in DATABASE_URL: every tier with its caps
  bulkhead usage set-tier small runs=1000 input_tokens=500000:soft
  bulkhead usage give acme small                        the operator: an organization's tier
  bulkhead usage spend-cap acme 250.00                  the operator: the most it may spend in a month, or `none`
  bulkhead usage reconcile                              the operator: what the payment provider was not told, and why
  bulkhead usage settle bill_0199… exported             the operator: it arrived, or is charged in another way

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data.
DATABASE_URL for what the operator does; where absent, the database of that `dev`."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show a month: what was used, what it cost, and what is left of the caps
    Show(show::Args),
    /// Print a month as CSV
    Export(show::Args),
    /// List the tiers, in the database
    Tiers(operator::Tiers),
    /// Make a tier, or replace its caps, in the database
    SetTier(operator::SetTier),
    /// Give an organization a tier, in the database
    Give(operator::Give),
    /// Cap what an organization may spend in a month, in the database
    SpendCap(operator::SpendCap),
    /// List what could not be reported to the payment provider, in the database
    Reconcile(reconcile::List),
    /// Say what becomes of a row of that list, in the database
    Settle(reconcile::Settle),
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Show(args) => show::run(args, out).await,
        Verb::Export(args) => show::export(args, out).await,
        Verb::Tiers(args) => operator::tiers(args, out).await,
        Verb::SetTier(args) => operator::set_tier(args, out).await,
        Verb::Give(args) => operator::give(args, out).await,
        Verb::SpendCap(args) => operator::spend_cap(args, out).await,
        Verb::Reconcile(args) => reconcile::list(args, out).await,
        Verb::Settle(args) => reconcile::settle(args, out).await,
    }
}
