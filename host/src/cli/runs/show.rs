//! `bulkhead runs show`: one run with its timeline, or its events, or its journal.

use serde_json::Value;

use super::timeline;
use crate::cli::client::Target;
use crate::cli::terminal::view::{at, number, receipt};
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// The agent's name.
    agent: String,
    /// The run's id.
    run: String,
    /// Its events, as clients were sent them.
    #[arg(long, conflicts_with = "steps")]
    events: bool,
    /// Its journal: every answer from outside the guest.
    #[arg(long)]
    steps: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn show(args: Show, out: Output) -> Result<(), Failure> {
    let client = args.target.client()?;
    let mut path = vec!["agents", &args.agent, "runs", &args.run];
    path.extend(args.events.then_some("events"));
    path.extend(args.steps.then_some("steps"));
    let answer = client.get(&path, &[]).await?;
    if out.is_json() {
        return out.json(&answer);
    }
    let items = || answer["data"].as_array().into_iter().flatten();
    if args.events {
        let rows = items().map(|event| {
            [
                at(event, "/seq"),
                at(event, "/at"),
                at(event, "/kind"),
                at(event, "/data"),
            ]
        });
        out.table(["seq", "at", "kind", "data"], rows.collect());
    } else if args.steps {
        let rows = items().map(|step| {
            [
                at(step, "/seq"),
                at(step, "/started_at"),
                at(step, "/kind"),
                at(step, "/status"),
                at(step, "/request"),
                at(step, "/response"),
            ]
        });
        out.table(
            ["seq", "at", "kind", "status", "request", "response"],
            rows.collect(),
        );
    } else {
        one(&answer, out);
        let path = ["agents", &args.agent, "runs", &args.run, "steps"];
        let steps = client.get(&path, &[]).await?;
        let steps: Vec<Value> = steps["data"].as_array().cloned().unwrap_or_default();
        for line in timeline::draw(&answer, &steps, out.width()) {
            out.line(line);
        }
    }
    Ok(())
}

fn one(run: &Value, out: Output) {
    let mut fields = vec![
        ("run", at(run, "/id")),
        (
            "agent",
            format!("{} v{}", at(run, "/agent"), at(run, "/version")),
        ),
        ("state", at(run, "/state")),
        ("stop", at(run, "/stop_reason")),
        ("created", at(run, "/created_at")),
        ("ended", at(run, "/ended_at")),
        ("took", format!("{} ms", number(run, "/usage/wall_ms"))),
        ("fault", at(run, "/fault/message")),
    ];
    if run["receipt"].is_object() {
        fields.extend(receipt(&run["receipt"]));
    }
    out.fields(&fields);
    if let Some(output) = run["output"].as_str().filter(|output| !output.is_empty()) {
        out.line(format!("\n{output}"));
    }
}
