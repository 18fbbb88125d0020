//! `bulkhead replay --last`: the newest runs of the stable version on another one, as a report to promote by.

use serde_json::{Value, json};

use super::replay::ended;
use crate::cli::client::Client;
use crate::cli::terminal::view::{at, count, number};
use crate::cli::terminal::{Failure, Output};

pub(super) async fn run(
    client: &Client,
    agent: &str,
    (on, last): (u32, u32),
    out: Output,
) -> Result<(), Failure> {
    let body = json!({ "version": on, "last": last });
    let summary = client.post(&["agents", agent, "replay"], &body).await?;
    let not_compared = summary["not_compared"].as_array().map_or(0, Vec::len);
    let verdict = match number(&summary, "/differ") == 0 && not_compared == 0 {
        true => Ok(()),
        false => Err(Failure::told()),
    };
    if out.is_json() {
        out.json(&summary)?;
        return verdict;
    }
    out.line(format!(
        "the last {} runs of {agent} v{}, replayed on v{}: {} the same, {} but for what they used, {} differ, {not_compared} not compared",
        at(&summary, "/runs"),
        at(&summary, "/stable"),
        at(&summary, "/version"),
        at(&summary, "/same"),
        at(&summary, "/alike"),
        at(&summary, "/differ"),
    ));
    let differs_in = summary["differs_in"].as_object().into_iter().flatten();
    let differs_in: Vec<String> = differs_in
        .map(|(what, runs)| format!("{} {runs}", what.replace('_', " ")))
        .collect();
    out.fields(&[
        ("differs in", differs_in.join(", ")),
        ("recorded", used(&summary["recorded"])),
        ("replayed", used(&summary["replayed"])),
    ]);
    for differing in summary["worst"].as_array().into_iter().flatten() {
        show(differing, out);
    }
    for run in summary["not_compared"].as_array().into_iter().flatten() {
        out.line(format!(
            "{}: not compared: {}",
            at(run, "/run"),
            at(run, "/why")
        ));
    }
    if verdict.is_err() {
        out.note(format!(
            "one of them in full: bulkhead replay {agent} RUN --on v{on}"
        ));
    }
    verdict
}

fn show(differing: &Value, out: Output) {
    let what = at(differing, "/differs_in").replace('_', " ");
    out.line(format!("\n{}: {what}", at(differing, "/run")));
    if let Some(beyond) = differing.get("beyond") {
        out.line(ended(beyond));
    }
    if let Some(diff) = differing["diff"].as_str() {
        out.line(diff.trim_end());
    }
}

fn used(of: &Value) -> String {
    format!(
        "{} fuel · {}+{} tokens · {} host calls",
        count(number(of, "/fuel")),
        number(of, "/input_tokens"),
        number(of, "/output_tokens"),
        number(of, "/host_calls"),
    )
}
