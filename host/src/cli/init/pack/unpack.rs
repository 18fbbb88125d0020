//! A tar archive under gzip, entry by entry into memory: files and folders with plain names, and nothing else. Whoever
//! made it is not trusted; every bound is looked at before what it bounds is kept. Invariant: what is answered can be
//! written below any folder and touches nothing beside it, on any file system.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use crate::cli::init::templates::{Files, OURS};

const ENTRIES_MAX: usize = 1_000;
const UNPACKED_BYTES_MAX: u64 = 32 << 20;
const NAME_BYTES_MAX: usize = 240;
const DEPTH_MAX: usize = 12;
/// What is made in a project, or means something to the tools in it, and is no part of a template.
const NEVER: [&str; 6] = [".git", ".bulkhead", "node_modules", ".venv", "target", OURS];

/// The files of an archive, or why it is refused.
pub(super) fn unpack(archive: &[u8]) -> Result<Files, String> {
    let unpacked = Bounded {
        of: GzDecoder::new(archive),
        left: UNPACKED_BYTES_MAX,
    };
    let mut archive = Archive::new(unpacked);
    let mut files = Files::new();
    let mut names = Names::default();
    let entries = archive.entries().map_err(unreadable)?;
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.map_err(unreadable)?;
        if count >= ENTRIES_MAX {
            return Err(format!("it has more than {ENTRIES_MAX} entries"));
        }
        let kind = entry.header().entry_type();
        // What `git archive` begins with: it says something of the archive, and is nothing in it.
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let name = entry.path_bytes().into_owned();
        let name = String::from_utf8(name).map_err(|error| {
            let name = String::from_utf8_lossy(error.as_bytes()).into_owned();
            format!("{name:?} is no UTF-8")
        })?;
        let parts = parts(&name)?;
        match kind {
            EntryType::Directory => names.folder(&parts)?,
            EntryType::Regular if !name.ends_with('/') => {
                names.file(&parts)?;
                files.insert(parts.iter().collect(), content(&mut entry, &name)?);
            }
            other => return Err(format!("{name:?} is {}", word(other))),
        }
    }
    if files.is_empty() {
        return Err("it has no file".to_owned());
    }
    Ok(files)
}

fn content(entry: &mut Entry<'_, impl Read>, name: &str) -> Result<Vec<u8>, String> {
    let size = entry.size();
    if size > UNPACKED_BYTES_MAX {
        return Err(too_large());
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 != size {
        return Err(format!("it ends within {name:?}"));
    }
    Ok(content)
}

/// The parts of a name that leads downwards, and nowhere else.
fn parts(name: &str) -> Result<Vec<&str>, String> {
    let refused = |why: &str| Err(format!("{name:?} {why}"));
    if name.starts_with('/') {
        return refused("begins at the root");
    }
    if name.len() > NAME_BYTES_MAX {
        return refused("is too long a name");
    }
    if name.contains('\\') || name.chars().any(char::is_control) {
        return refused("is no plain name");
    }
    let below = name.strip_prefix("./").unwrap_or(name);
    let below = below.strip_suffix('/').unwrap_or(below);
    // The folder itself.
    if below.is_empty() || below == "." {
        return Ok(Vec::new());
    }
    let parts: Vec<&str> = below.split('/').collect();
    if parts.len() > DEPTH_MAX {
        return refused("is too deep");
    }
    if parts.iter().any(|part| ["", ".", ".."].contains(part)) {
        return refused("leads out of its folder");
    }
    let never = |part: &&&str| NEVER.iter().any(|never| never.eq_ignore_ascii_case(part));
    match parts.iter().find(never) {
        Some(part) => Err(format!(
            "{name:?} has a part called {part}, which is no part of a template"
        )),
        None => Ok(parts),
    }
}

/// Every name so far, as a file system that takes `A` for `a` would keep it.
#[derive(Default)]
struct Names(BTreeMap<String, (String, bool)>);

impl Names {
    fn folder(&mut self, parts: &[&str]) -> Result<(), String> {
        for depth in 1..=parts.len() {
            let name = parts[..depth].join("/");
            let known = self
                .0
                .entry(name.to_lowercase())
                .or_insert_with(|| (name.clone(), false));
            if *known != (name.clone(), false) {
                return Err(format!("{name:?} and {:?} take the same place", known.0));
            }
        }
        Ok(())
    }

    fn file(&mut self, parts: &[&str]) -> Result<(), String> {
        let Some((_, within)) = parts.split_last() else {
            return Err("a file has no name".to_owned());
        };
        self.folder(within)?;
        let name = parts.join("/");
        let known = self.0.insert(name.to_lowercase(), (name.clone(), true));
        known.map_or(Ok(()), |(known, _)| {
            Err(format!("{name:?} and {known:?} take the same place"))
        })
    }
}

/// Ends with an error where there is more than it may be.
struct Bounded<R> {
    of: R,
    left: u64,
}

/// More than it may be was unpacked.
#[derive(Debug, thiserror::Error)]
#[error("it unpacks to more than {UNPACKED_BYTES_MAX} bytes")]
struct TooLarge;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.of.read(into)?;
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or_else(|| io::Error::other(TooLarge))?;
        Ok(n)
    }
}

fn too_large() -> String {
    TooLarge.to_string()
}

fn unreadable(error: io::Error) -> String {
    let mut cause: &dyn std::error::Error = &error;
    loop {
        if cause.is::<TooLarge>() {
            return too_large();
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return format!("it is no tar archive under gzip: {error}"),
        }
    }
}

fn word(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::Regular => "a file that is called like a folder",
        _ => "neither a file nor a folder",
    }
}
