//! `bulkhead versions`: the versions of an agent, which of them is stable, what one asks for, its label and its end.

use serde_json::{Value, json};

use super::client::{Paging, Target};
use super::deploy::fields;
use super::terminal::view::{at, bytes, capabilities, more, number};
use super::terminal::{Failure, Output};

/// List, show, compare, label and delete an agent's versions
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead versions ls support
  bulkhead versions show support 3
  bulkhead versions diff support 4        what version 4 asks for beyond the stable one
  bulkhead versions label support 4 v1.2.0
  bulkhead versions delete support 2

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
        #[command(flatten)]
        paging: Paging,
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
    /// Show what a version asks for beyond the stable one
    Diff {
        /// The agent's name.
        agent: String,
        /// The version's number.
        number: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Give a version a label, or take it away
    Label {
        /// The agent's name.
        agent: String,
        /// The version's number.
        number: u32,
        /// The label; absent, the version has none.
        label: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Delete a version that no channel and no open conversation uses
    Delete {
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
            paging,
            target,
        } => {
            let query = paging.after([]);
            list(&agent, &query, &target, out).await
        }
        Verb::Show {
            agent,
            number,
            target,
        } => {
            let path = ["agents", &agent, "versions", &number.to_string()];
            let version = target.client()?.get(&path, &[]).await?;
            show(&agent, &version, out)
        }
        Verb::Diff {
            agent,
            number,
            target,
        } => diff((&agent, number), &target, out).await,
        Verb::Label {
            agent,
            number,
            label,
            target,
        } => {
            let path = ["agents", &agent, "versions", &number.to_string()];
            let to = json!({ "label": label });
            show(&agent, &target.client()?.patch(&path, &to).await?, out)
        }
        Verb::Delete {
            agent,
            number,
            target,
        } => {
            let path = ["agents", &agent, "versions", &number.to_string()];
            target.client()?.delete(&path).await?;
            match out.is_json() {
                true => out.json(&json!({ "number": number, "deleted": true })),
                false => {
                    out.line(format!("{agent} v{number} is deleted"));
                    Ok(())
                }
            }
        }
    }
}

fn show(agent: &str, version: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(version);
    }
    out.line(format!("{agent} v{}", at(version, "/number")));
    out.fields(&fields(version));
    Ok(())
}

async fn diff((agent, number): (&str, u32), target: &Target, out: Output) -> Result<(), Failure> {
    let path = ["agents", agent, "versions", &number.to_string(), "diff"];
    let diff = target.client()?.get(&path, &[]).await?;
    if out.is_json() {
        return out.json(&diff);
    }
    let stable = match at(&diff, "/stable").as_str() {
        "" => "nothing: no version is stable".to_owned(),
        stable => format!("v{stable}, which is stable"),
    };
    out.line(format!("{agent} v{number} against {stable}"));
    let words = |of: &str| diff[of].as_array().cloned().unwrap_or_default();
    for more in words("more") {
        out.line(format!("  + {}", at(&more, "")));
    }
    for less in words("less") {
        out.line(format!("  - {}", at(&less, "")));
    }
    Ok(())
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
    let channels = client.get(&["agents", agent, "channels"], &[]).await?;
    let channel = |number: &Value| {
        let all = ["stable", "canary"].into_iter();
        let on = all.filter(|name| channels[*name]["version"] == *number);
        on.collect::<Vec<_>>().join(" ")
    };
    let rows = page["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|version| {
            let imports = version["imports"].as_array().into_iter().flatten();
            [
                at(version, "/number"),
                at(version, "/label"),
                channel(&version["number"]),
                at(version, "/created_at"),
                bytes(number(version, "/size_bytes")),
                at(version, "/digest").chars().take(19).collect(),
                capabilities(imports.filter_map(|import| import.as_str())),
            ]
        });
    out.table(
        [
            "version",
            "label",
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
