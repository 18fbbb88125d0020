//! `bulkhead nodes`: the hosts of a database, whether they live, and what they run. For the operator who holds the
//! database: no key of an organization sees them.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::doctor::database_url;
use crate::cli::serve::refuse_unmigrated;
use crate::cli::terminal::{Failure, Output};
use crate::config::Surroundings;
use crate::kit::db;
use crate::runs::nodes::presence::NodeView;

/// List the hosts of a database
///
/// A host is ready, draining, dead (its heartbeat is too old) or stopped. Those that are gone are listed for a day.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead nodes                                of the running `dev`
  DATABASE_URL=postgres://… bulkhead nodes --output json

Environment:
  DATABASE_URL   the database; where absent, that of the `dev` that runs on --data"
)]
pub(in crate::cli) struct Args {
    /// The data folder.
    #[arg(
        long,
        env = "BULKHEAD__DATA",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".bulkhead"
    )]
    data: PathBuf,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let url = database_url(&args.data, Surroundings::read())?.ok_or_else(|| {
        Failure::usage(
            "DATABASE_URL is not set and no `bulkhead dev` runs on the data folder: which database?",
        )
    })?;
    let db = db::connect(url.expose(), 1).await?;
    refuse_unmigrated(&db).await?;
    let nodes = NodeView::all(&db).await?;
    if out.is_json() {
        return out.json(&json!({ "data": nodes }));
    }
    out.table(
        [
            "node",
            "state",
            "address",
            "version",
            "contract",
            "started",
            "heartbeat",
            "runs",
            "free",
        ],
        nodes.iter().map(row).collect(),
    );
    Ok(())
}

fn row(node: &NodeView) -> [String; 9] {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let runs: Vec<String> = node
        .runs
        .iter()
        .map(|(state, runs)| format!("{runs} {state}"))
        .collect();
    let free = match (node.free, node.places) {
        (Some(free), Some(places)) => format!("{free} of {places}"),
        _ => String::new(),
    };
    let started = node
        .started_at
        .replace_nanosecond(0)
        .unwrap_or(node.started_at);
    [
        node.id.to_string(),
        node.state.clone(),
        text(&node.address),
        text(&node.version),
        text(&node.contract),
        started.to_string(),
        format!("{:.1} s ago", node.heartbeat_age_ms as f64 / 1e3),
        runs.join(", "),
        free,
    ]
}
