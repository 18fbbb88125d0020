//! The files of a project at one moment, by what a save changes: two snapshots differ where something was saved
//! between them. What tools and editors leave beside the sources is not seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A project that is larger is watched so far; sources never are.
pub(super) const FILES_MAX: usize = 20_000;
/// What builds, tools and editors keep in a project.
const FOLDERS: [&str; 13] = [
    ".bulkhead",
    ".git",
    ".hg",
    ".idea",
    ".jj",
    ".svn",
    ".venv",
    ".vscode",
    ".zed",
    "__pycache__",
    "node_modules",
    "target",
    "venv",
];
/// How the names end that editors and downloads write beside a file until it is whole.
const PASSING: [&str; 9] = [
    "~", ".swp", ".swo", ".swn", ".swx", ".tmp", ".part", ".bak", ".pyc",
];

/// What a project's folder holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli::dev) struct Snapshot {
    files: BTreeMap<PathBuf, Stamp>,
    pub(super) folders: BTreeSet<PathBuf>,
    /// There were more files than are looked at.
    pub(in crate::cli::dev) cut: bool,
}

/// Changes with every save, however it is made: in place, or by a new file under the old name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Snapshot {
    /// Looks at a folder, but not below `ignored`. A folder that is gone is an empty one.
    pub(super) fn take(folder: &Path, ignored: &Path) -> Self {
        let mut snapshot = Self::default();
        let mut left = vec![folder.to_owned()];
        while let Some(folder) = left.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                continue;
            };
            for entry in entries.flatten() {
                let (name, path) = (entry.file_name(), entry.path());
                // Links are followed to files and to no folder, so no loop is walked.
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder && !FOLDERS.iter().any(|of_tools| name == *of_tools) && path != ignored
                {
                    left.push(path);
                } else if !is_folder && !passes(&name.to_string_lossy()) {
                    let Ok(metadata) = path.metadata() else {
                        continue;
                    };
                    if metadata.is_file() {
                        snapshot.files.insert(path, Stamp::of(&metadata));
                    }
                }
            }
            snapshot.folders.insert(folder);
            if snapshot.files.len() + snapshot.folders.len() > FILES_MAX {
                snapshot.cut = true;
                break;
            }
        }
        snapshot
    }

    /// Takes a file as it is by now, where it is looked at: a build wrote it, and nobody else.
    pub(in crate::cli::dev) fn accept(&mut self, path: &Path) {
        let looked = path
            .parent()
            .is_some_and(|folder| self.folders.contains(folder));
        if let Some(metadata) = path.metadata().ok().filter(|_| looked) {
            self.files.insert(path.to_owned(), Stamp::of(&metadata));
        }
    }

    /// Nothing is there: the folder was moved away, or emptied.
    pub(in crate::cli::dev) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The files that are not as they were, in order, and when the last of them was saved.
    pub(in crate::cli::dev) fn since(&self, earlier: &Self) -> (Vec<PathBuf>, Option<SystemTime>) {
        let saved = self
            .files
            .iter()
            .filter(|(path, stamp)| earlier.files.get(*path) != Some(*stamp));
        let gone = earlier
            .files
            .keys()
            .filter(|path| !self.files.contains_key(*path));
        let last = saved.clone().filter_map(|(_, stamp)| stamp.modified).max();
        let mut changed: Vec<PathBuf> = saved.map(|(path, _)| path).chain(gone).cloned().collect();
        changed.sort();
        (changed, last)
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: metadata.ino(),
        }
    }
}

/// Whether a name is an editor's or a tool's for the moment.
fn passes(name: &str) -> bool {
    PASSING.iter().any(|end| name.ends_with(end))
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || name.starts_with("___jb_")
        || matches!(name, "4913" | ".DS_Store")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Snapshot;

    #[test]
    fn saves_are_seen_and_what_tools_leave_is_not() {
        let folder = std::env::temp_dir().join(format!("bulkhead-snapshot-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let write = |path: &str, text: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let ignored = folder.join("my-data");
        let take = || Snapshot::take(&folder, &ignored);
        assert!(take().is_empty());
        write("src/lib.rs", "one");
        write("Cargo.toml", "[package]");
        let before = take();
        for path in [
            "target/debug/lib.rlib",
            ".git/index",
            ".bulkhead/dev.json",
            "my-data/dev.json",
            "web/node_modules/x/index.js",
            "src/.lib.rs.swp",
            "src/lib.rs~",
            "src/.#lib.rs",
            "src/4913",
        ] {
            write(path, "noise");
        }
        assert_eq!(take().since(&before).0, Vec::<std::path::PathBuf>::new());
        let changed = |before: &Snapshot| {
            let (changed, _) = take().since(before);
            let below = changed
                .iter()
                .map(|path| path.strip_prefix(&folder).unwrap());
            below.map(Path::to_owned).collect::<Vec<_>>()
        };
        // An editor's way: whole beside it, then renamed. The time may be the same, the file is not.
        write("src/lib.rs.tmp", "two");
        fs::rename(folder.join("src/lib.rs.tmp"), folder.join("src/lib.rs")).unwrap();
        assert_eq!(changed(&before), [Path::new("src/lib.rs")]);
        write("src/tools/new.rs", "new");
        fs::remove_file(folder.join("Cargo.toml")).unwrap();
        assert_eq!(
            changed(&before),
            ["Cargo.toml", "src/lib.rs", "src/tools/new.rs"].map(Path::new)
        );
        // What a build writes is its own, and what it writes where nobody looks is nothing.
        let mut last = take();
        write("Cargo.lock", "locked");
        write("target/agent.wasm", "wasm");
        last.accept(&folder.join("Cargo.lock"));
        last.accept(&folder.join("target/agent.wasm"));
        assert_eq!(take(), last);
        fs::remove_file(folder.join("Cargo.lock")).unwrap();
        let last = take();
        fs::remove_dir_all(&folder).unwrap();
        assert!(take().is_empty() && changed(&last).len() == 2);
    }
}
