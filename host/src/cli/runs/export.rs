//! `bulkhead runs export`: an ended run as a file, for the native tests of its agent.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::client::Target;
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The agent's name.
    agent: String,
    /// The run's id.
    run: String,
    /// Write it to this file, which must not exist; to stdout where absent.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn export(args: Export, out: Output) -> Result<(), Failure> {
    let path = ["agents", &args.agent, "runs", &args.run, "recording"];
    let recording = args.target.client()?.get(&path, &[]).await?;
    // A line for each field, so that a review sees what a new recording changes.
    let text = format!("{}\n", serde_json::to_string_pretty(&recording)?);
    let Some(file) = args.to else {
        out.piece(&text);
        return Ok(());
    };
    write(&file, &text)?;
    if out.is_json() {
        return out.json(&json!({ "file": file, "bytes": text.len() }));
    }
    out.note(format!("{} written", file.display()));
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let within = file.parent().filter(|within| *within != Path::new(""));
    let write = || {
        within.map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create_new(file)?.write_all(text.as_bytes())
    };
    write().map_err(|error| {
        let detail = match error.kind() {
            io::ErrorKind::AlreadyExists => format!(
                "{} is there already: remove it first, or name another file with --to",
                file.display()
            ),
            _ => format!("cannot write {}: {error}", file.display()),
        };
        Failure::new("io", detail)
    })
}
