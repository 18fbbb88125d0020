//! `bulkhead runs`: the runs of an agent, one of them in full, its events and its journal.

use serde_json::Value;

use super::client::Target;
use super::terminal::view::{at, count, more, number, receipt};
use super::terminal::{Failure, Output};

/// List an agent's runs, show one with its events or steps
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead runs ls support --state running
  bulkhead runs show support run_0190b6f2… --events
  bulkhead runs show support run_0190b6f2… --steps --output json

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List runs, newest first
    Ls(List),
    /// Show a run
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct List {
    /// The agent's name.
    agent: String,
    /// queued, running, completed, failed, cancelled or blocked.
    #[arg(long)]
    state: Option<String>,
    /// Such as end_turn, cancelled, deadline, fuel.
    #[arg(long)]
    stop_reason: Option<String>,
    /// Only runs of this version.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// The `next_cursor` of the page before.
    #[arg(long)]
    cursor: Option<String>,
    /// 1 to 200.
    #[arg(long)]
    limit: Option<u32>,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Show {
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

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Ls(args) => list(args, out).await,
        Verb::Show(args) => show(args, out).await,
    }
}

async fn list(args: List, out: Output) -> Result<(), Failure> {
    let query = [
        ("state", args.state),
        ("stop_reason", args.stop_reason),
        ("version", args.version.map(|version| version.to_string())),
        ("cursor", args.cursor),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let page = args
        .target
        .client()?
        .get(&["agents", &args.agent, "runs"], &query)
        .await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten().map(|run| {
        [
            at(run, "/id"),
            at(run, "/state"),
            at(run, "/stop_reason"),
            format!("v{}", at(run, "/version")),
            at(run, "/created_at"),
            tokens(run),
            count(number(run, "/usage/fuel")),
            format!("{} ms", number(run, "/usage/wall_ms")),
        ]
    });
    out.table(
        [
            "run", "state", "stop", "version", "created", "tokens", "fuel", "took",
        ],
        rows.collect(),
    );
    more(&page).inspect(|more| out.note(more));
    Ok(())
}

async fn show(args: Show, out: Output) -> Result<(), Failure> {
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

fn tokens(run: &Value) -> String {
    format!(
        "{}+{}",
        number(run, "/usage/input_tokens"),
        number(run, "/usage/output_tokens")
    )
}
