//! `bulkhead limits`: what an organization and its versions may use, where each value comes from, and setting them.

mod of;
mod set;
mod show;

use super::terminal::{Failure, Output};

/// Show and set the limits of the organization or of a version
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead limits show                                    the organization's, with where each comes from
  bulkhead limits show support --version 3
  bulkhead limits set fuel=2000000000 memory_bytes=32MiB  what is not named stays as it is
  bulkhead limits set --agent support wall_ms=60000       of the stable version
  bulkhead limits set fuel=none                           the host's again

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show limits: the value, where it comes from, and the most it may be
    Show(show::Args),
    /// Set limits; those that are not named stay as they are
    Set(set::Args),
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Show(args) => show::run(args, out).await,
        Verb::Set(args) => set::run(args, out).await,
    }
}
