//! `bulkhead conversations`: conversations with an agent, what was said in them, and what the agent keeps for them.

use serde_json::{Value, json};

use super::client::{Paging, Target};
use super::terminal::view::{at, bytes, more, number};
use super::terminal::{Failure, Output};

/// Begin, list, read and archive conversations with an agent
///
/// A conversation keeps what was said and stays on the version its first run took. A key sees its own.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead conversations new support
  bulkhead run support \"and how do I undo that?\" --conversation conv_0190b6f2…
  bulkhead conversations show support conv_0190b6f2…
  bulkhead conversations memory support conv_0190b6f2… --delete

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Begin a conversation
    New {
        /// The agent's name.
        agent: String,
        #[command(flatten)]
        target: Target,
    },
    /// List conversations, newest first
    Ls {
        /// The agent's name.
        agent: String,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        target: Target,
    },
    /// Show what was said, newest first
    Show {
        /// The agent's name.
        agent: String,
        /// The conversation's id.
        conversation: String,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        target: Target,
    },
    /// Show what the agent keeps for a conversation, or delete it
    Memory {
        /// The agent's name.
        agent: String,
        /// The conversation's id.
        conversation: String,
        /// Delete all of it; what was said stays.
        #[arg(long)]
        delete: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Archive a conversation: it is listed no more, and no run begins in it
    Archive {
        /// The agent's name.
        agent: String,
        /// The conversation's id.
        conversation: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::New { agent, target } => begin(&agent, &target, out).await,
        Verb::Ls {
            agent,
            paging,
            target,
        } => list(&agent, paging, &target, out).await,
        Verb::Show {
            agent,
            conversation,
            paging,
            target,
        } => show((&agent, &conversation), paging, &target, out).await,
        Verb::Memory {
            agent,
            conversation,
            delete,
            target,
        } => memory((&agent, &conversation), delete, &target, out).await,
        Verb::Archive {
            agent,
            conversation,
            target,
        } => {
            let path = ["agents", &agent, "conversations", &conversation];
            target.client()?.delete(&path).await?;
            match out.is_json() {
                true => out.json(&json!({ "id": conversation, "archived": true })),
                false => {
                    out.line(format!("{conversation} is archived"));
                    Ok(())
                }
            }
        }
    }
}

async fn begin(agent: &str, target: &Target, out: Output) -> Result<(), Failure> {
    let path = ["agents", agent, "conversations"];
    let made = target.client()?.post(&path, &json!({})).await?;
    if out.is_json() {
        return out.json(&made);
    }
    out.line(at(&made, "/id"));
    Ok(())
}

async fn list(agent: &str, paging: Paging, target: &Target, out: Output) -> Result<(), Failure> {
    let path = ["agents", agent, "conversations"];
    let page = target.client()?.get(&path, &paging.after([])).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten();
    let rows = rows.map(|conversation| {
        [
            at(conversation, "/id"),
            version(conversation),
            at(conversation, "/channel"),
            at(conversation, "/turns"),
            at(conversation, "/open_run"),
            at(conversation, "/created_at"),
        ]
    });
    let head = [
        "conversation",
        "version",
        "channel",
        "turns",
        "open run",
        "created",
    ];
    out.table(head, rows.collect());
    more(&page).inspect(|more| out.note(more));
    Ok(())
}

async fn show(
    (agent, conversation): (&str, &str),
    paging: Paging,
    target: &Target,
    out: Output,
) -> Result<(), Failure> {
    let path = ["agents", agent, "conversations", conversation, "messages"];
    let page = target.client()?.get(&path, &paging.after([])).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let rows = page["data"].as_array().into_iter().flatten();
    let rows = rows.map(|message| {
        let parts = message["content"].as_array().into_iter().flatten();
        let text: String = parts.map(|part| at(part, "/text")).collect();
        [
            at(message, "/turn"),
            at(message, "/role"),
            version(message),
            at(message, "/stop_reason"),
            text,
        ]
    });
    out.table(["turn", "role", "version", "stop", "text"], rows.collect());
    more(&page).inspect(|more| out.note(more));
    Ok(())
}

async fn memory(
    (agent, conversation): (&str, &str),
    delete: bool,
    target: &Target,
    out: Output,
) -> Result<(), Failure> {
    let path = ["agents", agent, "conversations", conversation, "memory"];
    let client = target.client()?;
    if delete {
        client.delete(&path).await?;
        if out.is_json() {
            return out.json(&json!({ "id": conversation, "memory": "deleted" }));
        }
        out.line(format!("the memory of {conversation} is deleted"));
        return Ok(());
    }
    let memory = client.get(&path, &[]).await?;
    if out.is_json() {
        return out.json(&memory);
    }
    let rows = memory["entries"].as_array().into_iter().flatten();
    let rows = rows.map(|entry| {
        [
            at(entry, "/key"),
            at(entry, "/value"),
            at(entry, "/run"),
            at(entry, "/written_at"),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let keys = rows.len();
    out.table(["key", "value", "run", "written"], rows);
    out.note(format!("{keys} keys, {}", bytes(number(&memory, "/bytes"))));
    Ok(())
}

fn version(of: &Value) -> String {
    match of["version"].as_i64() {
        Some(version) => format!("v{version}"),
        None => String::new(),
    }
}
