//! Templates of others: a manifest that names archives by their SHA-256, in a file or on the web. Called by `init`.
//! Must hold: no byte of an archive is unpacked before its size and digest are those the manifest names, and what was
//! unpacked of one that is refused is gone with the refusal.

mod manifest;
mod place;
mod unpack;

use std::path::Path;

use sha2::{Digest as _, Sha256};

use self::manifest::{ARCHIVE_BYTES_MAX, Entry, MANIFEST_BYTES_MAX};
use self::place::Place;
use super::templates::{Language, Template};
use crate::cli::terminal::Failure;

/// A pack whose manifest was read.
#[derive(Debug)]
pub(super) struct Pack {
    place: Place,
    pub(super) entries: Vec<Entry>,
}

impl Pack {
    pub(super) async fn open(from: &str) -> Result<Self, Failure> {
        let place = Place::of(from)?;
        let text = place.read(MANIFEST_BYTES_MAX).await?;
        let entries = manifest::read(&text).map_err(|why| {
            Failure::new(
                "pack_refused",
                format!("{place} is no pack's manifest: {why}"),
            )
        })?;
        Ok(Self { place, entries })
    }

    /// One of its templates, fetched and verified, for a project in this folder.
    pub(super) async fn template(
        &self,
        entry: &Entry,
        project: &Path,
    ) -> Result<Template, Failure> {
        let refused = |why: String| {
            let name = &entry.name;
            let detail = format!("the template `{name}` of {} is refused: {why}", self.place);
            Failure::new("pack_refused", detail)
        };
        let archive = self.place.beside(&entry.archive)?;
        let bytes = archive.read(ARCHIVE_BYTES_MAX).await?;
        if bytes.len() as u64 != entry.size {
            let (is, named) = (bytes.len(), entry.size);
            return Err(refused(format!(
                "{archive} has {is} bytes, the manifest names {named}"
            )));
        }
        if Sha256::digest(&bytes).as_slice() != entry.digest {
            return Err(refused(format!(
                "{archive} is not what the manifest names: its SHA-256 is another"
            )));
        }
        let files = unpack::files(&bytes, project).map_err(refused)?;
        let language = Language::of(&files).ok_or_else(|| {
            refused("it has no Cargo.toml, package.json or pyproject.toml at its top".to_owned())
        })?;
        Ok(Template {
            name: entry.name.clone(),
            description: entry.description.clone(),
            language,
            files,
        })
    }
}
