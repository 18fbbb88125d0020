//! The entries of an archive, one after the other, under bounds that are counted while they are read: what a header
//! claims is believed only as far as it is held.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, OpenOptions, Permissions};
use flate2::read::GzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{Bounds, Links, Plan, Refused, Unpacked, links, paths};

/// Unpacks a gzipped tar into a folder. After a refusal the folder holds a part of it, for the caller to remove.
pub fn unpack(archive: impl Read, into: &Dir, plan: &Plan) -> Result<Unpacked, Refused> {
    let over = Cell::new(false);
    let limited = Limited {
        inner: GzDecoder::new(archive),
        left: plan.bounds.bytes,
        over: &over,
    };
    let mut archive = Archive::new(limited);
    let unpacked = entries(&mut archive, into, plan);
    // To the end, where the sum over all of it stands.
    let unpacked = unpacked.and_then(|unpacked| {
        let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
        rest.map_err(Refused::Damaged).map(|_| unpacked)
    });
    match unpacked {
        Err(Refused::Damaged(_)) if over.get() => Err(Refused::TooLarge(plan.bounds.bytes)),
        Ok(Unpacked { files: 0, .. }) => Err(Refused::Empty),
        unpacked => unpacked,
    }
}

/// Folders that were made, so that each is made once, for everybody to pass, and counted.
pub(super) struct Folders<'a> {
    pub(super) into: &'a Dir,
    made: BTreeSet<PathBuf>,
    left: usize,
    most: usize,
}

impl<'a> Folders<'a> {
    pub(super) fn new(into: &'a Dir, entries: usize) -> Self {
        Self {
            into,
            made: BTreeSet::new(),
            left: entries,
            most: entries,
        }
    }

    /// Makes the folders above a path.
    pub(super) fn above(&mut self, path: &Path) -> Result<(), Refused> {
        path.parent().map_or(Ok(()), |folder| self.make(folder))
    }

    fn count(&mut self) -> Result<(), Refused> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(Refused::TooMany(self.most))?;
        Ok(())
    }

    fn make(&mut self, folder: &Path) -> Result<(), Refused> {
        if folder.as_os_str().is_empty() || self.made.contains(folder) {
            return Ok(());
        }
        self.above(folder)?;
        self.count()?;
        let shown = folder.display().to_string();
        match self.into.create_dir(folder) {
            Ok(()) => self
                .into
                .set_permissions(folder, mode(0o755))
                .map_err(Refused::io("set the permissions of", shown))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = self.into.symlink_metadata(folder);
                if !there.is_ok_and(|there| there.is_dir()) {
                    return Err(Refused::Twice(shown));
                }
            }
            Err(error) => return Err(Refused::io("create", shown)(error)),
        }
        self.made.insert(folder.to_owned());
        Ok(())
    }
}

fn entries(archive: &mut Archive<impl Read>, into: &Dir, plan: &Plan) -> Result<Unpacked, Refused> {
    let mut folders = Folders::new(into, plan.bounds.entries);
    let mut unpacked = Unpacked::default();
    let mut later = Vec::new();
    for entry in archive.entries().map_err(Refused::Damaged)? {
        let mut entry = entry.map_err(Refused::Damaged)?;
        let kind = entry.header().entry_type();
        folders.count()?;
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let raw = entry.path_bytes().into_owned();
        let path = paths::plain(&raw, plan.strip)?;
        let shown = paths::shown(&raw);
        match (kind, path) {
            (EntryType::Directory, None) => {}
            (EntryType::Directory, Some(path)) => folders.make(&path)?,
            (_, None) => {
                return Err(Refused::Path(shown, "it is above the folders to unpack"));
            }
            (EntryType::Regular | EntryType::Continuous, Some(path)) => {
                folders.above(&path)?;
                unpacked.bytes += write(&mut entry, (into, &path), plan.bounds)?;
                unpacked.files += 1;
            }
            (EntryType::Symlink, Some(path)) if plan.links == Links::Inside => {
                let to = entry.link_name_bytes().unwrap_or_default();
                later.push((path, PathBuf::from(std::ffi::OsStr::from_bytes(&to))));
            }
            (kind, Some(_)) => return Err(refused(kind, shown, plan.links)),
        }
    }
    links::make(&mut folders, &later)?;
    Ok(unpacked)
}

/// Writes one file, made anew.
fn write(
    entry: &mut Entry<'_, impl Read>,
    (into, path): (&Dir, &Path),
    bounds: Bounds,
) -> Result<u64, Refused> {
    let shown = path.display().to_string();
    if entry.size() > bounds.file_bytes {
        return Err(Refused::FileTooLarge {
            path: shown,
            bytes: bounds.file_bytes,
        });
    }
    let runs = entry.header().mode().map_err(Refused::Damaged)? & 0o111 != 0;
    let file = into
        .open_with(path, OpenOptions::new().write(true).create_new(true))
        .map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Refused::Twice(shown.clone()),
            _ => Refused::io("create", shown.clone())(error),
        })?;
    let mut file = file.into_std();
    let mut written = 0;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = entry.read(&mut piece).map_err(Refused::Damaged)?;
        if read == 0 {
            break;
        }
        io::Write::write_all(&mut file, &piece[..read])
            .map_err(Refused::io("write", shown.clone()))?;
        written += read as u64;
    }
    if written != entry.size() {
        return Err(Refused::Damaged(io::Error::other(format!(
            "`{shown}` is cut short"
        ))));
    }
    let bits = if runs { 0o755 } else { 0o644 };
    // Whatever the process's mask: an unprivileged user may be who runs it.
    file.set_permissions(std::fs::Permissions::from_mode(bits))
        .map_err(Refused::io("set the permissions of", shown))?;
    Ok(written)
}

fn mode(bits: u32) -> Permissions {
    Permissions::from_std(std::fs::Permissions::from_mode(bits))
}

fn refused(kind: EntryType, path: String, links: Links) -> Refused {
    let kind = match kind {
        EntryType::Symlink => "a link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        _ => "of an unusual kind",
    };
    let taken = match links {
        Links::Refuse => "files and folders",
        Links::Inside => "files, folders and symbolic links",
    };
    Refused::Kind { path, kind, taken }
}

/// Reads so many bytes and no more: where there would be more, it says so and fails.
struct Limited<'a, R> {
    inner: R,
    left: u64,
    over: &'a Cell<bool>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let read = match most {
            0 => self.inner.read(&mut [0])?,
            most => {
                let most = most.min(into.len());
                self.inner.read(&mut into[..most])?
            }
        };
        if self.left == 0 && read > 0 {
            self.over.set(true);
            return Err(io::Error::other("it is larger than allowed"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}
