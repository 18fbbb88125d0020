//! `bulkhead rollback`: back to the version that was stable before, or the end of a canary.

use serde_json::json;

use crate::cli::client::Target;
use crate::cli::terminal::{Failure, Output};

/// Go back to the version that was stable before, or end the canary
///
/// Repeat it to go further back. Needs the scope `deploy`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead rollback support --repin       open conversations go back as well
  bulkhead rollback support --canary

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    /// The agent's name.
    agent: String,
    /// End the canary; the stable version stays.
    #[arg(long)]
    canary: bool,
    /// Let open conversations choose again; else they stay on their versions.
    #[arg(long)]
    repin: bool,
    #[command(flatten)]
    target: Target,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let channel = if args.canary { "canary" } else { "stable" };
    let what = json!({ "channel": channel, "repin": args.repin });
    let path = ["agents", &args.agent, "rollback"];
    super::tell(&args.target.client()?.post(&path, &what).await?, out)
}
