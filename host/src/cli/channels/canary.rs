//! `bulkhead canary`: a version gets a share of new conversations and runs.

use serde_json::json;

use crate::cli::client::Target;
use crate::cli::terminal::{Failure, Output};

/// Give a version a share of new conversations and runs
///
/// A conversation stays on the version it began with. `bulkhead rollback --canary` ends it. Needs the scope `deploy`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead canary support 5 --weight 0.1
  bulkhead canary support 5 --weight 0.5 --repin           open conversations choose again

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    /// The agent's name.
    agent: String,
    /// The version's number.
    version: u32,
    /// More than 0, at most 1.
    #[arg(long, value_name = "SHARE")]
    weight: f64,
    /// Let open conversations choose again; else they stay on their versions.
    #[arg(long)]
    repin: bool,
    /// What it may ask for beyond the stable version, as `bulkhead versions diff` names it; repeat for more.
    #[arg(long, value_name = "CAPABILITY")]
    approve: Vec<String>,
    #[command(flatten)]
    target: Target,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let to = json!({
        "version": args.version,
        "weight": args.weight,
        "repin": args.repin,
        "approve_capabilities": args.approve,
    });
    let path = ["agents", &args.agent, "canary"];
    super::tell(&args.target.client()?.post(&path, &to).await?, out)
}
