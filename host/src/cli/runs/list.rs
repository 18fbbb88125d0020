//! `bulkhead runs ls`: the runs of an agent, newest first.

use serde_json::Value;

use crate::cli::client::{Paging, Target};
use crate::cli::terminal::view::{at, count, more, number};
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct List {
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
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn list(args: List, out: Output) -> Result<(), Failure> {
    let query = args.paging.after([
        ("state", args.state),
        ("stop_reason", args.stop_reason),
        ("version", args.version.map(|version| version.to_string())),
    ]);
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

fn tokens(run: &Value) -> String {
    format!(
        "{}+{}",
        number(run, "/usage/input_tokens"),
        number(run, "/usage/output_tokens")
    )
}
