//! The server's log file: bounded at each start, and quoted when a start fails.
//! The server writes through the open file it inherits, so the file itself stays the host's.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::error::Error;

/// At this size the log is put aside as `postgres.log.1`; one such file is kept.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
const TAIL_BYTES: u64 = 8 * 1024;
const TAIL_LINES: usize = 6;

/// The log and where this start's part begins.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) file: File,
    begin: u64,
}

impl Log {
    pub(super) fn open(path: PathBuf) -> Result<Self, Error> {
        let failed = |error| Error::io("open", &path, error);
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            fs::rename(&path, path.with_extension("log.1")).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(failed)?;
        let begin = file.metadata().map_err(failed)?.len();
        Ok(Self { path, file, begin })
    }

    /// The last lines written since this start, as one line.
    pub(super) fn tail(&self) -> String {
        let mut text = Vec::new();
        // A log that cannot be read must not hide the error it was to explain.
        let _ = File::open(&self.path).and_then(|mut file| {
            let begin = self
                .begin
                .max(file.metadata()?.len().saturating_sub(TAIL_BYTES));
            file.seek(SeekFrom::Start(begin))?;
            file.read_to_end(&mut text)
        });
        last_lines(&text)
    }
}

/// The last lines of a program's output, as one line.
pub(super) fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    match lines.len().saturating_sub(TAIL_LINES) {
        _ if lines.is_empty() => "(nothing)".into(),
        skipped => lines[skipped..].join(" | "),
    }
}

/// Where a log lies in a folder.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("postgres.log")
}
