//! `bulkhead replay`: a run that has ended, once more, and what differs; or the last runs of the stable version on another one.

use serde_json::{Value, json};

use super::replays;
use crate::cli::client::{Client, Target};
use crate::cli::terminal::view::{at, count, number};
use crate::cli::terminal::{Failure, Output};

/// Run ended runs again against their journals and tell what differs
///
/// Nothing outside is asked and nothing is written. On its own version nothing differs; on another one, what it asks
/// is answered as the run was answered, for as long as it asks the same kind of thing. Exits with 1 where a run differs
/// on its own version. With --last the newest runs of the stable version are replayed, which tells what promoting the other
/// one would change; it exits with 1 where a run asks, says or comes to something else, or could not be compared. Needs the
/// scope `run`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead replay support run_0190b6f2…
  bulkhead replay support run_0190b6f2… --on v4
  bulkhead replay support --on v4 --last 50
  bulkhead replay support --on v4 --last 50 --output json > report.json

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    /// The agent's name.
    agent: String,
    /// The run's id.
    #[arg(required_unless_present = "last")]
    run: Option<String>,
    /// Another version of the agent.
    #[arg(long, value_name = "vN", value_parser = version)]
    on: Option<u32>,
    /// The newest runs of the stable version, so many, instead of one run.
    #[arg(long, value_name = "RUNS", requires = "on", conflicts_with = "run")]
    last: Option<u32>,
    #[command(flatten)]
    target: Target,
}

/// `v4` or `4`.
fn version(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix('v').unwrap_or(text);
    number
        .parse()
        .map_err(|_| "name a version by its number, such as v4".to_owned())
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.target.client()?;
    match (args.run, args.on, args.last) {
        (None, Some(on), Some(last)) => replays::run(&client, &args.agent, (on, last), out).await,
        (Some(run), on, _) => one(&client, (&args.agent, &run), on, out).await,
        (None, ..) => Err(Failure::usage("name a run, or --on vN and --last RUNS")),
    }
}

async fn one(
    client: &Client,
    (agent, run): (&str, &str),
    on: Option<u32>,
    out: Output,
) -> Result<(), Failure> {
    let body = on.map_or(json!({}), |version| json!({ "version": version }));
    let path = ["agents", agent, "runs", run, "replay"];
    let report = client.post(&path, &body).await?;
    let differences = report["differences"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let versions = (at(&report, "/recorded/version"), at(&report, "/version"));
    // On another version a difference is an answer; on its own it is a promise that was broken.
    let broken = versions.0 == versions.1 && !differences.is_empty();
    let verdict = if broken { Err(Failure::told()) } else { Ok(()) };
    if out.is_json() {
        out.json(&report)?;
        return verdict;
    }
    let told = match differences.len() {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        many => format!("{many} differences"),
    };
    out.line(format!(
        "{} of v{}, replayed on v{}: {told}",
        run, versions.0, versions.1
    ));
    if let Some(beyond) = report.get("beyond").filter(|beyond| beyond.is_object()) {
        out.line(ended(beyond));
    }
    for difference in differences {
        show(difference, out);
    }
    let side = |name: &str| sums(&report[name]);
    out.line("");
    out.fields(&[
        ("recorded", side("recorded")),
        ("replayed", side("replayed")),
    ]);
    verdict
}

/// Where the replay ended before its own end.
pub(super) fn ended(beyond: &Value) -> String {
    let place = match (number(beyond, "/step"), at(beyond, "/kind")) {
        (0, _) => String::new(),
        (step, kind) => format!(" at step {step} ({kind})"),
    };
    format!("ended{place}: {}", at(beyond, "/why"))
}

fn show(difference: &Value, out: Output) {
    let what = at(difference, "/what").replace('_', " ");
    match (difference["diff"].as_str(), number(difference, "/step")) {
        (Some(diff), 0) => out.line(format!("\n{what}\n{}", diff.trim_end())),
        (Some(diff), step) => {
            let kind = at(difference, "/kind");
            out.line(format!(
                "\n{what} of step {step} ({kind})\n{}",
                diff.trim_end()
            ));
        }
        (None, _) => {
            let side = |name: &str| match &difference[name] {
                Value::Null => "(none)".to_owned(),
                _ => at(difference, &format!("/{name}")),
            };
            out.line(format!(
                "{what}: {} → {}",
                side("recorded"),
                side("replayed")
            ));
        }
    }
}

fn sums(side: &Value) -> String {
    let reason = match at(side, "/stop_reason") {
        reason if reason.is_empty() => "(not ended)".to_owned(),
        reason => reason,
    };
    format!(
        "{reason} · {}+{} tokens · {} fuel · {} host calls · {} steps",
        number(side, "/usage/input_tokens"),
        number(side, "/usage/output_tokens"),
        count(number(side, "/usage/fuel")),
        number(side, "/usage/host_calls"),
        number(side, "/steps"),
    )
}
