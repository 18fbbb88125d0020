//! `bulkhead runs` and `bulkhead replay`: the runs of an agent, one of them in full with where its time went, and one
//! or the last of them once more, here or natively.

mod export;
mod list;
pub(super) mod replay;
mod replays;
mod show;
mod timeline;

use super::terminal::{Failure, Output};

/// List an agent's runs, show one with its events or steps, save one as a fixture
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead runs ls support --state running
  bulkhead runs show support run_0190b6f2… --events
  bulkhead runs show support run_0190b6f2… --steps --output json
  bulkhead runs export support run_0190b6f2… --to tests/fixtures/hours.json

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
    /// Save an ended run as a file that an agent's native tests replay
    Export(export::Export),
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Ls(args) => list::list(args, out).await,
        Verb::Show(args) => show::show(args, out).await,
        Verb::Export(args) => export::export(args, out).await,
    }
}
