//! `bulkhead channels`: where an agent's channels point, and their history.

use crate::cli::client::Target;
use crate::cli::terminal::view::{at, more};
use crate::cli::terminal::{Failure, Output};

/// Show where an agent's channels point, or how they came there
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead channels support
  bulkhead channels support --history

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(in crate::cli) struct Args {
    /// The agent's name.
    agent: String,
    /// List the moves, newest first.
    #[arg(long)]
    history: bool,
    /// Of the history: the `next_cursor` of the page before.
    #[arg(long, requires = "history")]
    cursor: Option<String>,
    /// Of the history: 1 to 200.
    #[arg(long, requires = "history")]
    limit: Option<u32>,
    #[command(flatten)]
    target: Target,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    let client = args.target.client()?;
    if !args.history {
        let path = ["agents", &args.agent, "channels"];
        return super::tell(&client.get(&path, &[]).await?, out);
    }
    let query = [
        ("cursor", args.cursor),
        ("limit", args.limit.map(|limit| limit.to_string())),
    ];
    let path = ["agents", &args.agent, "channels", "history"];
    let page = client.get(&path, &query).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten();
    let rows = rows.map(|row| {
        [
            "/at",
            "/action",
            "/channel",
            "/version",
            "/previous",
            "/weight",
            "/repinned",
            "/by",
            "/reason",
        ]
        .map(|pointer| at(row, pointer))
    });
    let head = [
        "at", "action", "channel", "version", "before", "weight", "repinned", "by", "why",
    ];
    out.table(head, rows.collect());
    more(&page).inspect(|more| out.note(more));
    Ok(())
}
