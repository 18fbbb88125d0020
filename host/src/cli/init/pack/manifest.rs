//! What a pack's manifest says, read strictly: who makes a mistake in one is told where.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Far more than a pack of templates needs.
pub(super) const MANIFEST_BYTES_MAX: u64 = 256 << 10;
pub(super) const ARCHIVE_BYTES_MAX: u64 = 8 << 20;
const TEMPLATES_MAX: usize = 100;
const DESCRIPTION_BYTES_MAX: usize = 200;
const NAME_BYTES_MAX: usize = 63;
/// The only form there is yet.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    template: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    description: String,
    archive: String,
    sha256: String,
    size: u64,
}

/// A template of a pack.
#[derive(Debug)]
pub(in crate::cli::init) struct Entry {
    pub(in crate::cli::init) name: String,
    pub(in crate::cli::init) description: String,
    /// Beside the manifest, or on the web.
    pub(super) archive: String,
    pub(super) digest: [u8; 32],
    pub(super) size: u64,
}

/// The templates that a manifest names, by name.
pub(super) fn read(text: &[u8]) -> Result<Vec<Entry>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is no text".to_owned())?;
    let manifest: Manifest = toml_edit::de::from_str(text).map_err(|error| {
        let place = error.span().map(|span| {
            let before = text.get(..span.start).unwrap_or_default();
            format!("line {}: ", before.matches('\n').count() + 1)
        });
        format!("{}{}", place.unwrap_or_default(), error.message())
    })?;
    if manifest.format != FORMAT {
        return Err(format!(
            "its format is {}, this program reads {FORMAT}",
            manifest.format
        ));
    }
    if !(1..=TEMPLATES_MAX).contains(&manifest.template.len()) {
        let count = manifest.template.len();
        return Err(format!(
            "it names {count} templates, not 1 to {TEMPLATES_MAX}"
        ));
    }
    let mut names = BTreeSet::new();
    let mut entries = Vec::new();
    for written in manifest.template {
        if !names.insert(written.name.clone()) {
            return Err(format!("it names {:?} twice", written.name));
        }
        entries.push(entry(written)?);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn entry(written: Written) -> Result<Entry, String> {
    let Written {
        name,
        description,
        archive,
        sha256,
        size,
    } = written;
    let fits = name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !fits {
        return Err(format!(
            "{name:?} cannot name a template: use 1 to {NAME_BYTES_MAX} small letters, digits and `-`, a letter first"
        ));
    }
    let is_line = !description.trim().is_empty() && !description.chars().any(char::is_control);
    if !is_line || description.len() > DESCRIPTION_BYTES_MAX {
        return Err(format!(
            "the description of `{name}` is not one line of at most {DESCRIPTION_BYTES_MAX} bytes"
        ));
    }
    let mut digest = [0; 32];
    if hex::decode_to_slice(&sha256, &mut digest).is_err() {
        return Err(format!(
            "the sha256 of `{name}` is not 64 hexadecimal digits"
        ));
    }
    if !(1..=ARCHIVE_BYTES_MAX).contains(&size) {
        return Err(format!(
            "the size of `{name}` is {size} bytes, not 1 to {ARCHIVE_BYTES_MAX}"
        ));
    }
    if archive.is_empty() || archive.chars().any(char::is_control) {
        return Err(format!("the archive of `{name}` is not named"));
    }
    Ok(Entry {
        name,
        description,
        archive,
        digest,
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_mistake_is_named() {
        let sha = "ab".repeat(32);
        let good = format!(
            "format = 1\n[[template]]\nname = \"a\"\ndescription = \"A.\"\narchive = \"a.tgz\"\nsha256 = \"{sha}\"\nsize = 9\n"
        );
        assert_eq!(read(good.as_bytes()).unwrap()[0].name, "a");
        let (_, one) = good.split_once('\n').unwrap();
        let many = format!("format = 1\n{}", one.repeat(2));
        let wrong = [
            (good.replace("format = 1", "format = 2"), "format is 2"),
            (good.replace("format = 1\n", ""), "format"),
            (good.replace("size = 9", "size = \"9\""), "line 7"),
            (good.replace("size = 9", "size = 0"), "size of `a`"),
            (good.replace("size = 9", "size = 8388609"), "8388608"),
            (good.replace("size = 9", "size = 9\nmode = 1"), "mode"),
            (good.replace("\"a\"", "\"../a\""), "cannot name"),
            (good.replace("\"A.\"", "\"A.\\nB.\""), "one line"),
            (good.replace(&sha, "ab"), "64 hexadecimal"),
            (good.replace("\"a.tgz\"", "\"\""), "not named"),
            ("format = 1\ntemplate = []\n".to_owned(), "0 templates"),
            (many, "twice"),
        ];
        for (text, named) in wrong {
            let why = read(text.as_bytes()).unwrap_err();
            assert!(why.contains(named), "{named}: {why}");
        }
        assert!(read(b"\xff").is_err());
    }
}
