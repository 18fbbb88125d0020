//! `bulkhead audit export`: into a file, as it comes, beside its name until it is whole.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::list::Narrowed;
use crate::cli::client::Target;
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Where to write. Its ending decides: .csv is for people and spreadsheets, .jsonl is for `verify`.
    file: PathBuf,
    #[command(flatten)]
    narrowed: Narrowed,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn export(args: Export, out: Output) -> Result<(), Failure> {
    let source = args.narrowed.source.as_str();
    let query = args.narrowed.query();
    let (path, query) = match args.file.extension().and_then(|end| end.to_str()) {
        Some("csv") => (vec!["audit", source, "export.csv"], &query[..]),
        Some("jsonl") if query.iter().any(|(_, value)| value.is_some()) || source != "actions" => {
            return Err(Failure::usage(
                "a .jsonl is the whole chain, which cannot be narrowed: a filter goes with a .csv",
            ));
        }
        Some("jsonl") => (vec!["audit", "export.jsonl"], &[][..]),
        _ => {
            return Err(Failure::usage(
                "name the file with the ending .csv or .jsonl: it says what to write",
            ));
        }
    };
    let mut answer = args.target.client()?.fetch(&path, query).await?;
    let part = partial(&args.file);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .map_err(|error| unwritable(&part, &error))?;
    let mut bytes = 0;
    while let Some(chunk) = answer.next().await? {
        bytes += chunk.len();
        file.write_all(&chunk)
            .map_err(|error| unwritable(&part, &error))?;
    }
    whole(&file, &part, &args.file).map_err(|error| unwritable(&args.file, &error))?;
    match out.is_json() {
        true => out.json(&json!({ "file": args.file, "bytes": bytes })),
        false => {
            out.line(format!("{} ({bytes} bytes)", args.file.display()));
            Ok(())
        }
    }
}

fn partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn whole(file: &File, part: &Path, name: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    std::fs::rename(part, name)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        "unwritable",
        format!("{} cannot be written: {error}", path.display()),
    )
}
