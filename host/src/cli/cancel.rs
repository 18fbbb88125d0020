//! `bulkhead cancel`: stops a run and prints its receipt.

use serde_json::json;

use super::client::Target;
use super::terminal::view::{at, receipt};
use super::terminal::{Failure, Output};

/// Stop a run and print its receipt
///
/// A repeat, or a run that has ended, answers with the receipt there is. Needs the scope `run`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead cancel support run_0190b6f2…

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    /// The agent's name.
    agent: String,
    /// The run's id.
    run: String,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let run = args
        .target
        .client()?
        .post(
            &["agents", &args.agent, "runs", &args.run, "cancel"],
            &json!({}),
        )
        .await?;
    if out.is_json() {
        return out.json(&run);
    }
    out.line(match at(&run, "/stop_reason").as_str() {
        "" => format!(
            "{}: asked to stop, {} still; ask again for the receipt",
            args.run,
            at(&run, "/state")
        ),
        reason => format!("{}: {} ({reason})", args.run, at(&run, "/state")),
    });
    if run["receipt"].is_object() {
        out.fields(&receipt(&run["receipt"]));
    }
    Ok(())
}
