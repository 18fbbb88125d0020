//! `bulkhead promote`: a version becomes the stable one.

use super::candidate::Candidate;
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
    #[command(flatten)]
    to: Candidate,
    #[command(flatten)]
    target: Target,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let body = args.to.body();
    args.to.point("promote", (&body, &args.target), out).await
}
