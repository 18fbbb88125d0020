//! `bulkhead promote`: a version becomes the stable one.

use serde_json::json;

use crate::cli::client::Target;
use crate::cli::terminal::{Failure, Output};

/// Make a version the stable one: new conversations and runs take it
///
/// A version that asks for more than the stable one needs that approved, each by its name. Needs the scope `deploy`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead promote support 4
  bulkhead promote support 4 --repin                       open conversations choose again
  bulkhead promote support 4 --approve import:knowledge --approve tool:refund

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    /// The agent's name.
    agent: String,
    /// The version's number.
    version: u32,
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
        "repin": args.repin,
        "approve_capabilities": args.approve,
    });
    let path = ["agents", &args.agent, "promote"];
    super::tell(&args.target.client()?.post(&path, &to).await?, out)
}
