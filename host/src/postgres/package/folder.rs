//! The folders that packages are unpacked into, beside the database they are for: `postgresql-<version>/native/bin`.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::Deserialize;

use super::Package;
use crate::kit::unpack::{Bounds, Links, Plan, Refused, link, unpack_as};
use crate::postgres::place;

const PREFIX: &str = "postgresql-";
const BIN: &str = "native/bin";
/// A package names the links that its registry does not keep.
const LINKS: &str = "native/pg-symlinks.json";
const LINKS_BYTES_MAX: u64 = 1 << 20;
/// Several times what the pinned packages come to.
const PLAN: Plan = Plan {
    bounds: Bounds {
        entries: 10_000,
        bytes: 512 << 20,
        file_bytes: 256 << 20,
    },
    strip: 1,
    links: Links::Refuse,
};

/// Folders of binaries that were fetched for a data folder's database.
pub fn beside(data: &Path) -> Vec<PathBuf> {
    found(&place::base_of(data))
}

/// Those in a folder of the database's, newest first.
pub(in crate::postgres) fn found(base: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(base).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(PREFIX) && !name.ends_with(".part")
        })
        .map(|entry| entry.path().join(BIN))
        .collect();
    folders.sort_unstable_by(|a, b| b.cmp(a));
    folders
}

/// Unpacks a package whose bytes were checked, and says where its binaries are.
pub(super) fn make(archive: &[u8], base: &Path, package: &Package) -> Result<PathBuf, String> {
    let parent = Dir::open_ambient_dir(base, ambient_authority())
        .map_err(|error| format!("cannot open {}: {error}", base.display()))?;
    let name = format!("{PREFIX}{}", package.version);
    // One that is there was of no use, or nobody would have fetched another.
    match parent.remove_dir_all(&name) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("cannot remove the old {name}: {error}"));
        }
        _ => {}
    }
    unpack_as(archive, (&parent, &name), &PLAN, restore_links)
        .map_err(|refused| refused.to_string())?;
    Ok(base.join(name).join(BIN))
}

#[derive(Deserialize)]
struct Restored {
    /// The file.
    source: PathBuf,
    /// The link to it. Both are told from the package's top.
    target: PathBuf,
}

fn restore_links(folder: &Dir) -> Result<(), Refused> {
    let Ok(file) = folder.open(LINKS) else {
        return Ok(());
    };
    let mut text = String::new();
    let read = file.take(LINKS_BYTES_MAX).read_to_string(&mut text);
    let links = read.and_then(|_| Ok(serde_json::from_str::<Vec<Restored>>(&text)?));
    for Restored { source, target } in links.map_err(Refused::Damaged)? {
        if folder.symlink_metadata(&target).is_err() {
            link(folder, &target, &relative(&target, &source))?;
        }
    }
    Ok(())
}

/// The way from the folder that `from` is in to `to`; both are told from one top.
fn relative(from: &Path, to: &Path) -> PathBuf {
    if !to.components().all(|c| matches!(c, Component::Normal(_))) {
        // As it is: it leads out, and is refused for that.
        return to.to_owned();
    }
    let above = from.parent().unwrap_or(Path::new(""));
    let shared = above
        .components()
        .zip(to.components())
        .take_while(|(a, b)| a == b)
        .count();
    let up = above
        .components()
        .skip(shared)
        .map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::relative;

    #[test]
    fn a_link_is_told_from_where_it_is() {
        let cases = [
            (
                "native/lib/libpq.so",
                "native/lib/libpq.so.5.17",
                "libpq.so.5.17",
            ),
            ("native/lib/pg/a.so", "native/lib/b.so", "../b.so"),
            ("a", "native/b", "native/b"),
            ("native/bin/x", "share/y", "../../share/y"),
            ("native/bin/x", "../y", "../y"),
            ("native/bin/x", "/etc/passwd", "/etc/passwd"),
        ];
        for (from, to, way) in cases {
            assert_eq!(relative(Path::new(from), Path::new(to)), Path::new(way));
        }
    }
}
