//! `bulkhead knowledge`: what an organization's agents search and cite, added from files, searched, listed, removed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::client::{Client, Paging, Target};
use super::terminal::view::{at, bytes, more, number};
use super::terminal::{Failure, Output, plain};
use crate::knowledge::ingest::{self, Limits, SourceFile};

/// Add, search, list and remove knowledge
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead knowledge add docs/                 every .md, .markdown and .txt below it; unchanged files change nothing
  bulkhead knowledge search \"how do i stop a run??\"
  bulkhead knowledge ls --tag handbook
  bulkhead knowledge rm entry_0190b6f2…

Environment: BULKHEAD_URL, BULKHEAD_ORG, BULKHEAD_API_KEY; where absent, the `dev` that runs on --data."
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Add a file, or every text below a folder
    Add {
        /// A .md, .markdown or .txt file, or a folder of them.
        #[arg(value_name = "FILE_OR_DIR")]
        from: PathBuf,
        /// Tags of every entry.
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Search as an agent does
    Search {
        /// What to look for, in plain language.
        text: String,
        /// 1 to 32.
        #[arg(long, default_value_t = 8)]
        limit: u32,
        /// Only entries with all of these tags.
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
    /// List entries, newest first
    Ls {
        /// Only entries with this tag.
        #[arg(long)]
        tag: Option<String>,
        #[command(flatten)]
        paging: Paging,
        #[command(flatten)]
        target: Target,
    },
    /// Remove an entry
    Rm {
        /// The entry's id.
        entry: String,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    match args.verb {
        Verb::Add { from, tags, target } => add(&target.client()?, &from, &tags, out).await,
        Verb::Search {
            text,
            limit,
            tags,
            target,
        } => {
            let query = json!({ "text": text, "limit": limit, "tags": tags });
            search(
                &target
                    .client()?
                    .post(&["knowledge", "search"], &query)
                    .await?,
                out,
            )
        }
        Verb::Ls {
            tag,
            paging,
            target,
        } => {
            let query = paging.after([("tag", tag)]);
            list(
                &target
                    .client()?
                    .get(&["knowledge", "entries"], &query)
                    .await?,
                out,
            )
        }
        Verb::Rm { entry, target } => {
            target
                .client()?
                .delete(&["knowledge", "entries", &entry])
                .await?;
            if out.is_json() {
                return out.json(&json!({ "removed": entry }));
            }
            out.line(format!("{entry} is removed"));
            Ok(())
        }
    }
}

/// A bar on a terminal; elsewhere nothing.
pub(super) fn progress(files: usize, out: Output) -> ProgressBar {
    let target = if out.is_json() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(files as u64), target);
    if let Ok(style) = ProgressStyle::with_template("knowledge {bar:32} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

async fn add(client: &Client, from: &Path, tags: &[String], out: Output) -> Result<(), Failure> {
    let files = if from.is_dir() {
        ingest::collect(from, &Limits::default())?
    } else {
        vec![single(from)?]
    };
    let bar = progress(files.len(), out);
    let (mut added, mut changed) = (0, 0);
    for file in &files {
        bar.set_message(plain::line(&file.source));
        let mut entry = serde_json::to_value(file.read()?)?;
        entry["tags"] = json!(tags);
        let (put, made) = client.make(&["knowledge", "entries"], &entry).await?;
        added += usize::from(made);
        changed += usize::from(!made && put["changed"] == true);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let unchanged = files.len() - added - changed;
    if out.is_json() {
        return out.json(&json!({ "files": files.len(), "added": added, "changed": changed, "unchanged": unchanged }));
    }
    out.line(format!(
        "{} files: {added} added, {changed} changed, {unchanged} as they were",
        files.len()
    ));
    Ok(())
}

fn single(file: &Path) -> Result<SourceFile, Failure> {
    let unreadable =
        |why: &str| Failure::new("io", format!("cannot read {}: {why}", file.display()));
    let meta = file
        .metadata()
        .map_err(|error| unreadable(&error.to_string()))?;
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|_| meta.is_file());
    let source = name
        .ok_or_else(|| unreadable("it is no file with a UTF-8 name"))?
        .to_owned();
    if meta.len() > Limits::default().file_bytes_max {
        return Err(unreadable(&format!(
            "it is larger than {} bytes; split it",
            Limits::default().file_bytes_max
        )));
    }
    Ok(SourceFile {
        path: file.to_owned(),
        source,
        bytes: meta.len(),
    })
}

fn search(hits: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(hits);
    }
    let data = hits["data"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    for (place, hit) in data.iter().enumerate() {
        out.line(format!("{}. {}", place + 1, passage(hit)));
        out.line(format!(
            "   {}\n",
            at(hit, "/snippet/text")
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        ));
    }
    if data.is_empty() {
        out.note("(nothing found)");
    }
    Ok(())
}

/// `Title › Heading (source)` of a hit or a citation.
pub(super) fn passage(of: &Value) -> String {
    let (title, heading, source) = (at(of, "/title"), at(of, "/heading"), at(of, "/source"));
    let mut text = title.clone();
    // The outermost heading usually is the title.
    for part in heading
        .split(" > ")
        .filter(|part| !part.is_empty() && *part != title)
    {
        text.push_str(&format!(" › {part}"));
    }
    if !source.is_empty() {
        text.push_str(&format!(" ({source})"));
    }
    text
}

fn list(page: &Value, out: Output) -> Result<(), Failure> {
    if out.is_json() {
        return out.json(page);
    }
    let rows = page["data"].as_array().into_iter().flatten().map(|entry| {
        [
            at(entry, "/id"),
            at(entry, "/title"),
            at(entry, "/source"),
            at(entry, "/chunks"),
            bytes(number(entry, "/content_bytes")),
            at(entry, "/tags"),
        ]
    });
    out.table(
        ["entry", "title", "source", "chunks", "size", "tags"],
        rows.collect(),
    );
    more(page).inspect(|more| out.note(more));
    Ok(())
}
