//! `bulkhead audit verify`: an exported chain against itself and against what was kept outside the database. Needs no
//! host, no network and no key but public ones.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::verify::{Outside, verify as check};
use crate::cli::terminal::{Failure, Output};

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// An `export.jsonl`.
    export: PathBuf,
    /// Checkpoints a host kept outside the database; several hosts have a file each.
    #[arg(long, value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// A key that may have signed, 64 hexadecimal digits; any other is refused then.
    #[arg(long = "public-key", value_name = "KEY")]
    public_keys: Vec<String>,
}

pub(super) fn verify(args: &Verify, out: Output) -> Result<(), Failure> {
    let mut outside = Outside::default();
    for key in &args.public_keys {
        outside.trust(key).map_err(Failure::usage)?;
    }
    for path in &args.checkpoints {
        let mut file = open(path)?;
        outside.read(&mut file).map_err(|bad| refused(path, &bad))?;
    }
    let sound =
        check(&mut open(&args.export)?, &outside).map_err(|bad| refused(&args.export, &bad))?;
    let nanos = i128::from(sound.made_at) * 1_000;
    let made = OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_default();
    if out.is_json() {
        return out.json(&json!({
            "org": sound.org, "rows": sound.rows, "made_at": made, "key": sound.key, "pinned": sound.pinned,
            "checkpoints": { "inside": sound.inside, "outside": sound.outside },
        }));
    }
    out.fields(&[
        ("organization", sound.org.to_string()),
        (
            "rows",
            format!("{}, none altered, missing or moved", sound.rows),
        ),
        ("made", made),
        ("signed by", sound.key),
        (
            "checkpoints",
            format!("{} in it, {} kept outside", sound.inside, sound.outside),
        ),
    ]);
    if !sound.pinned {
        out.note(
            "the key is only known from the export itself: give --public-key or --checkpoints from elsewhere",
        );
    }
    Ok(())
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).map_err(|error| {
        Failure::new(
            "unreadable",
            format!("{} cannot be read: {error}", path.display()),
        )
    })?;
    Ok(BufReader::with_capacity(1 << 20, file))
}

fn refused(path: &Path, bad: &crate::audit::verify::Bad) -> Failure {
    let row = bad
        .row
        .map(|row| format!(" (row {row})"))
        .unwrap_or_default();
    let detail = format!("{}, line {}{row}: {}", path.display(), bad.line, bad.what);
    Failure::new("audit_altered", detail)
}
