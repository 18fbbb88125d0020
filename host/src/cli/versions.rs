//! `bulkhead versions`: the versions of an agent, and which of them is stable.

use super::client::Target;
use super::deploy::{fields, make_stable};
use super::terminal::view::{at, bytes, capabilities, more, number};
use super::terminal::{Failure, Output};

/// List and show an agent's versions, move its stable channel
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead versions ls support
  bulkhead versions show support 3
  bulkhead versions stable support 2      new runs take version 2 at once: also how to roll back

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List versions, newest first
    Ls {
        /// The agent's name.
        agent: String,
        /// The `next_cursor` of the page before.
        #[arg(long)]
        cursor: Option<String>,
        /// 1 to 200.
        #[arg(long)]
        limit: Option<u32>,
        #[command(flatten)]
        target: Target,
    },
    /// Show a version
    Show {
        /// The agent's name.
        agent: String,
        /// The version's number.
        number: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Point the stable channel at a version
    Stable {
        /// The agent's name.
        agent: String,
        /// The version's number.
        number: u32,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Ls {
            agent,
            cursor,
            limit,
            target,
        } => {
            let query = [
                ("cursor", cursor),
                ("limit", limit.map(|limit| limit.to_string())),
            ];
            list(&agent, &query, &target, out).await
        }
        Verb::Show {
            agent,
            number,
            target,
        } => {
            let path = ["agents", &agent, "versions", &number.to_string()];
            let version = target.client()?.get(&path, &[]).await?;
            if out.is_json() {
                return out.json(&version);
            }
            out.line(format!("{agent} v{number}"));
            out.fields(&fields(&version));
            Ok(())
        }
        Verb::Stable {
            agent,
            number,
            target,
        } => {
            let agent = make_stable(&target.client()?, &agent, number.into()).await?;
            if out.is_json() {
                return out.json(&agent);
            }
            out.line(format!("{} v{number} is stable now", at(&agent, "/name")));
            Ok(())
        }
    }
}

async fn list(
    agent: &str,
    query: &[(&str, Option<String>)],
    target: &Target,
    out: Output,
) -> Result<(), Failure> {
    let client = target.client()?;
    let page = client.get(&["agents", agent, "versions"], query).await?;
    if out.is_json() {
        return out.json(&page);
    }
    let stable = client.get(&["agents", agent], &[]).await?["stable"].as_i64();
    let rows = page["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|version| {
            let imports = version["imports"].as_array().into_iter().flatten();
            let stable = if stable == version["number"].as_i64() {
                "stable"
            } else {
                ""
            };
            [
                at(version, "/number"),
                stable.to_owned(),
                at(version, "/created_at"),
                bytes(number(version, "/size_bytes")),
                at(version, "/digest").chars().take(19).collect(),
                capabilities(imports.filter_map(|import| import.as_str())),
            ]
        });
    out.table(
        [
            "version",
            "channel",
            "created",
            "size",
            "digest",
            "capabilities",
        ],
        rows.collect(),
    );
    more(&page).inspect(|more| out.note(more));
    Ok(())
}
