//! Symbolic links inside a folder: made only where they lead to something in it, whatever other links they pass.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use cap_std::fs::Dir;

use super::Refused;
use super::archive::Folders;
use super::paths::shown;

/// Makes the link `at` to `to`, which is relative to the folder `at` is in.
pub fn link(into: &Dir, at: &Path, to: &Path) -> Result<(), Refused> {
    let mut folders = Folders::new(into, usize::MAX);
    make(&mut folders, &[(at.to_owned(), to.to_owned())])
}

/// Makes all of them, then sees where each leads: a link may pass another one.
pub(super) fn make(folders: &mut Folders<'_>, links: &[(PathBuf, PathBuf)]) -> Result<(), Refused> {
    let refuse = |(at, to): &(PathBuf, PathBuf), why| Refused::Link {
        at: shown(at.as_os_str().as_bytes()),
        to: shown(to.as_os_str().as_bytes()),
        why,
    };
    let mut seen = BTreeSet::new();
    for link in links {
        let (at, to) = link;
        let depth = at.components().count();
        if depth == 0 || !at.components().all(|c| matches!(c, Component::Normal(_))) {
            return Err(refuse(link, "the link itself has no plain path"));
        }
        if !stays(depth - 1, to) {
            return Err(refuse(link, "that is outside"));
        }
        folders.above(at)?;
        let made = folders.into.symlink(to, at);
        if !seen.insert(at) || made.as_ref().is_err_and(exists) {
            return Err(Refused::Twice(at.display().to_string()));
        }
        made.map_err(Refused::io("link", at.display().to_string()))?;
    }
    // The folder's own eyes: cap-std follows no path out of it.
    match links
        .iter()
        .find(|(at, _)| folders.into.metadata(at).is_err())
    {
        Some(link) => Err(refuse(link, "that is outside, or nothing is there")),
        None => Ok(()),
    }
}

/// By its words alone: whether a path from `depth` folders below the top never climbs above it.
fn stays(depth: usize, to: &Path) -> bool {
    let mut depth = depth;
    to.components().count() > 0
        && to.components().all(|component| match component {
            Component::Normal(_) => {
                depth += 1;
                true
            }
            Component::CurDir => true,
            Component::ParentDir => {
                let climbs = depth > 0;
                depth = depth.saturating_sub(1);
                climbs
            }
            Component::RootDir | Component::Prefix(_) => false,
        })
}

fn exists(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::AlreadyExists
}
