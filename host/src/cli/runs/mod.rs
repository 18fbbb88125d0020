//! `bulkhead runs` and `bulkhead replay`: the runs of an agent, one of them in full with where its time went, and one
//! or the last of them once more.

mod list;
pub(super) mod replay;
mod replays;
mod show;
mod timeline;

use super::terminal::{Failure, Output};

/// List an agent's runs, show one with its events or steps
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead runs ls support --state running
  bulkhead runs show support run_0190b6f2… --events
  bulkhead runs show support run_0190b6f2… --steps --output json

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List runs, newest first
    Ls(list::List),
    /// Show a run
    Show(show::Show),
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Ls(args) => list::list(args, out).await,
        Verb::Show(args) => show::show(args, out).await,
    }
}
