//! A new project's folder: its name checked, its files written beside it first and moved into place as a whole.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};

use super::templates::Files;
use crate::cli::terminal::Failure;

/// What a package cannot be called: Rust's own words, and crates that are always there.
const TAKEN: &str = " abstract alloc as async await become box break const continue core crate do dyn else enum \
    extern false final fn for gen if impl in let loop macro main match mod move mut override priv proc-macro pub \
    ref return self static std struct super test trait true try type typeof unsafe unsized use virtual where while \
    yield build deps examples incremental bulkhead-sdk bulkhead-sdk-macros ";

/// Refuses what cannot name both an agent and a package.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    let fits = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fits {
        let detail = format!(
            "{name:?} cannot name an agent: use 1 to 63 small letters, digits and `-`, a letter first, as in `greeter`"
        );
        return Err(Failure::new("invalid_name", detail));
    }
    if TAKEN.contains(&format!(" {name} ")) {
        let detail =
            format!("{name:?} cannot name a Rust package: take another name, as in `{name}-agent`");
        return Err(Failure::new("invalid_name", detail));
    }
    Ok(())
}

/// Refuses a folder with anything in it, before anything is fetched for it.
pub(super) fn check_folder(folder: &Path) -> Result<(), Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(folder, &error)),
    };
    if entries.is_none() {
        return Ok(());
    }
    let detail = format!(
        "{} is not empty: name a folder that is not there with --dir",
        folder.display()
    );
    Err(Failure::new("folder_not_empty", detail))
}

/// Writes the files into `folder`, which must not be there or be empty: all of them, or none.
pub(super) fn write(folder: &Path, files: &Files) -> Result<(), Failure> {
    check_folder(folder)?;
    let part = Part::beside(folder).map_err(|error| failed(folder, &error))?;
    part.fill(files)
        // Takes the place of an empty folder too, and of nothing else.
        .and_then(|()| fs::rename(&part.path, folder))
        .map_err(|error| failed(folder, &error))
}

fn failed(folder: &Path, error: &io::Error) -> Failure {
    Failure::new("io", format!("cannot write {}: {error}", folder.display()))
}

/// A folder that is written into; it is gone with this unless it was moved, and so are the folders made for it.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    /// Above it, the deepest first.
    made: Vec<PathBuf>,
}

impl Part {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A new one beside `folder`.
    pub(super) fn beside(folder: &Path) -> io::Result<Self> {
        let name = folder.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let within = folder.parent().filter(|parent| *parent != Path::new(""));
        let within = within.unwrap_or_else(|| Path::new("."));
        let missing = within.ancestors().take_while(|above| !above.exists());
        let made = missing.map(Path::to_owned).collect();
        let part = format!(".{}.part-{}", name.to_string_lossy(), std::process::id());
        let path = within.join(part);
        // From here on whatever was made is removed.
        let part = Self { path, made };
        fs::create_dir_all(within)?;
        fs::create_dir(&part.path)?;
        Ok(part)
    }

    /// Writes through the folder itself: no name leads out of it, and none is written twice.
    fn fill(&self, files: &Files) -> io::Result<()> {
        let folder = Dir::open_ambient_dir(&self.path, ambient_authority())?;
        for (place, content) in files {
            if let Some(within) = place.parent().filter(|within| *within != Path::new("")) {
                folder.create_dir_all(within)?;
            }
            let mut new = OpenOptions::new();
            let mut file = folder.open_with(place, new.write(true).create_new(true))?;
            file.write_all(content)?;
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        // What holds the project by now is not empty.
        let _ = self.made.iter().try_for_each(fs::remove_dir);
    }
}
