//! `bulkhead audit`: the audit log of an organization listed and exported, and an export checked without any host.

mod export;
mod list;
mod verify;

use super::terminal::{Failure, Output};

/// List and export what was done and refused; check an export
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead audit list --status refused
  bulkhead audit list --source deliveries --from 2026-11-01T00:00:00Z
  bulkhead audit export audit.csv
  bulkhead audit export audit.jsonl
  bulkhead audit verify audit.jsonl --checkpoints .bulkhead/audit-checkpoints.jsonl

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data.
`verify` asks nobody: it reads the files it is given."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List rows, newest first; the last 30 days where no window is given
    List(list::List),
    /// Export: rows as CSV into a file ending in .csv, the whole signed chain into one ending in .jsonl
    Export(export::Export),
    /// Check an exported chain, and name the first row that is wrong
    Verify(verify::Verify),
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::List(args) => list::list(args, out).await,
        Verb::Export(args) => export::export(args, out).await,
        Verb::Verify(args) => verify::verify(&args, out),
    }
}
