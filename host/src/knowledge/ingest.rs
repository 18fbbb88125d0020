//! Reading a directory of Markdown and text: which files there are and what entry each becomes. Used by `dev` and by
//! the command line. Never follows a link below its root, so nothing outside the directory is read.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::NewEntry;
use crate::kit::{Error, Result};

const EXTENSIONS: [&str; 3] = ["md", "markdown", "txt"];

/// How much of a directory is read.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The most files.
    pub files_max: usize,
    /// The most bytes of one file.
    pub file_bytes_max: u64,
    /// The most bytes of all files together.
    pub bytes_max: u64,
    /// How deep directories may be nested.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files_max: 10_000,
            file_bytes_max: 2 << 20,
            bytes_max: 512 << 20,
            depth_max: 16,
        }
    }
}

impl Limits {
    pub fn for_test() -> Self {
        Self {
            files_max: 64,
            file_bytes_max: 64 << 10,
            bytes_max: 1 << 20,
            depth_max: 3,
        }
    }
}

/// A file that can become an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    pub path: PathBuf,
    /// Its path below the directory, with `/`: what the entry's source will be.
    pub source: String,
    pub bytes: u64,
}

impl SourceFile {
    /// Reads the file as an entry with its `source`.
    pub fn read(&self) -> Result<NewEntry> {
        let bytes = fs::read(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        let content = String::from_utf8(bytes).map_err(|_| {
            Error::unprocessable(format!(
                "`{}` is not UTF-8: save it as UTF-8 text.",
                self.source
            ))
        })?;
        Ok(NewEntry {
            title: None,
            content: content.trim_start_matches('\u{feff}').to_owned(),
            tags: Vec::new(),
            kind: None,
            source: Some(self.source.clone()),
        })
    }
}

/// The files below `directory`, by source. The directory itself may be a link; hidden names, links and other kinds
/// of files are passed over; too much of anything is an error that names the limit.
pub fn collect(directory: &Path, limits: &Limits) -> Result<Vec<SourceFile>> {
    let root = directory
        .canonicalize()
        .map_err(|error| unreadable(directory, &error))?;
    let mut files = Vec::new();
    let mut bytes = 0;
    let mut waiting = vec![(root.clone(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        if depth > limits.depth_max {
            return Err(Error::unprocessable(format!(
                "`{}` is nested deeper than {} directories.",
                folder.display(),
                limits.depth_max
            )));
        }
        for item in fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))? {
            let item = item.map_err(|error| unreadable(&folder, &error))?;
            if item.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // Of the link itself, never of what it points to.
            let meta = item
                .metadata()
                .map_err(|error| unreadable(&item.path(), &error))?;
            if meta.is_dir() {
                waiting.push((item.path(), depth + 1));
            } else if meta.is_file() && is_text(&item.path()) {
                bytes += meta.len();
                files.push(source_file(&root, item.path(), meta.len(), limits)?);
            }
        }
        if files.len() > limits.files_max || bytes > limits.bytes_max {
            return Err(Error::unprocessable(format!(
                "`{}` holds more than {} files or {} bytes: add its parts one at a time.",
                directory.display(),
                limits.files_max,
                limits.bytes_max
            )));
        }
    }
    files.sort_by(|a, b| a.source.cmp(&b.source));
    Ok(files)
}

fn source_file(root: &Path, path: PathBuf, bytes: u64, limits: &Limits) -> Result<SourceFile> {
    if bytes > limits.file_bytes_max {
        return Err(Error::unprocessable(format!(
            "`{}` is larger than {} bytes: split it.",
            path.display(),
            limits.file_bytes_max
        )));
    }
    let names: Option<Vec<&str>> = path
        .strip_prefix(root)
        .unwrap_or(&path)
        .components()
        .map(|part| part.as_os_str().to_str())
        .collect();
    let source = names
        .ok_or_else(|| {
            Error::unprocessable(format!(
                "`{}` has a name that is not UTF-8.",
                path.display()
            ))
        })?
        .join("/");
    Ok(SourceFile {
        path,
        source,
        bytes,
    })
}

fn is_text(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| {
            EXTENSIONS
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::unprocessable(format!("`{}` cannot be read: {error}.", path.display()))
}
