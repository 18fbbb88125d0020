//! `bulkhead canary`: a version gets a share of new conversations and runs.

use serde_json::{Map, Value};

use super::candidate::Candidate;
use crate::cli::client::Target;
use crate::cli::terminal::{Failure, Output};

/// Give a version a share of new conversations and runs
///
/// A conversation stays on the version it began with. `bulkhead rollback --canary` ends it, and so does the host where it
/// was given what the canary may be worse in than stable. Needs the scope `deploy`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead canary support 5 --weight 0.1
  bulkhead canary support 5 --weight 0.5 --repin           open conversations choose again
  bulkhead canary support 5 --weight 0.1 --failure-rate-above 0.05 --p95-times 1.5 --min-runs 50

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    to: Candidate,
    /// More than 0, at most 1.
    #[arg(long, value_name = "SHARE")]
    weight: f64,
    #[command(flatten)]
    judge: Judge,
    #[command(flatten)]
    target: Target,
}

/// The thresholds, as the API has them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "When the host ends it by itself")]
struct Judge {
    /// Runs that it and the stable version must have had each before anything is decided; 20 where absent.
    #[arg(long, value_name = "RUNS")]
    min_runs: Option<u32>,
    /// How much larger than stable's its part of failed runs may be: 0 to 1.
    #[arg(long, value_name = "PART", allow_negative_numbers = true)]
    failure_rate_above: Option<f64>,
    /// How much larger than stable's its part of runs ended by guardrails may be: 0 to 1.
    #[arg(long, value_name = "PART", allow_negative_numbers = true)]
    block_rate_above: Option<f64>,
    /// How many times stable's its 95th percentile of run times may be: 1 to 1000.
    #[arg(long, value_name = "TIMES", allow_negative_numbers = true)]
    p95_times: Option<f64>,
    /// How many times stable's its cost of a run may be: 1 to 1000.
    #[arg(long, value_name = "TIMES", allow_negative_numbers = true)]
    cost_times: Option<f64>,
}

impl Judge {
    /// None where nothing is said of judging.
    fn body(&self) -> Option<Value> {
        let thresholds = [
            ("min_runs", self.min_runs.map(Value::from)),
            (
                "failure_rate_above",
                self.failure_rate_above.map(Value::from),
            ),
            ("block_rate_above", self.block_rate_above.map(Value::from)),
            ("p95_times", self.p95_times.map(Value::from)),
            ("cost_times", self.cost_times.map(Value::from)),
        ];
        let said = thresholds
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let said: Map<String, Value> = said.collect();
        (!said.is_empty()).then_some(Value::Object(said))
    }
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let mut body = args.to.body();
    body["weight"] = args.weight.into();
    if let Some(judge) = args.judge.body() {
        body["judge"] = judge;
    }
    args.to.point("canary", (&body, &args.target), out).await
}
