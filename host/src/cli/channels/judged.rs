//! How a canary that judges itself stands: its figures beside stable's, and what is allowed.

use serde_json::Value;

use crate::cli::terminal::Output;
use crate::cli::terminal::view::at;

/// Says nothing where nobody judges.
pub(super) fn show(channels: &Value, out: Output) {
    let canary = &channels["canary"];
    if !canary["judge"].is_object() {
        return;
    }
    let min = at(canary, "/judge/min_runs");
    if !canary["judged"].is_object() {
        out.line(format!(
            "the host ends the canary by itself, once it and stable had {min} runs each: `bulkhead channels {}` shows how it stands",
            at(channels, "/agent")
        ));
        return;
    }
    let verdict = match at(canary, "/judged/verdict").as_str() {
        "waiting" => "one of the two had too few runs".to_owned(),
        "within" => "it is within what is allowed".to_owned(),
        _ => format!("it is ended in a moment: {}", at(canary, "/judged/passed")),
    };
    out.line(format!(
        "the canary is judged since {}: {verdict}",
        at(canary, "/judged/since")
    ));
    let row = |name: &str, figure: &str, allowed: String| {
        let of = |side: &str| at(canary, &format!("/judged/{side}/{figure}"));
        [name.to_owned(), of("canary"), of("stable"), allowed]
    };
    let allowed = |threshold: &str, how: &str| match at(canary, &format!("/judge/{threshold}")) {
        value if value.is_empty() => value,
        value => format!("{value} {how} stable's"),
    };
    out.table(
        ["figure", "canary", "stable", "allowed"],
        vec![
            row("runs", "runs", format!("at least {min}")),
            row(
                "failure rate",
                "failure_rate",
                allowed("failure_rate_above", "above"),
            ),
            row(
                "block rate",
                "block_rate",
                allowed("block_rate_above", "above"),
            ),
            row("p95 ms", "p95_ms", allowed("p95_times", "times")),
            row(
                "cost of a run",
                "cost_per_run",
                allowed("cost_times", "times"),
            ),
        ],
    );
}
