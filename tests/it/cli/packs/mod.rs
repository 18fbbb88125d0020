//! `init --from`: a project from a pack of others, from a file or the web; whatever is wrong with a pack is told, and
//! leaves nothing behind.

mod archives;
mod places;

use std::path::Path;

use bulkhead_tests::folder::Folder;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::init::{init, names};

/// An archive in the making, which takes whatever it is given.
struct Tarball(Builder<GzEncoder<Vec<u8>>>);

impl Tarball {
    fn new() -> Self {
        Self(Builder::new(GzEncoder::new(
            Vec::new(),
            Compression::fast(),
        )))
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, (name.as_bytes(), ""), content)
    }

    fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, (name.as_bytes(), ""), b"")
    }

    /// An entry under this name, which leads to `link`; no name is checked.
    fn entry(self, kind: EntryType, (name, link): (&[u8], &str), content: &[u8]) -> Self {
        self.claiming(kind, (name, link), (content, content.len() as u64))
    }

    /// The same, of another size than it has.
    fn claiming(
        mut self,
        kind: EntryType,
        (name, link): (&[u8], &str),
        (content, size): (&[u8], u64),
    ) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }
}

/// A project that nothing is wrong with.
fn project() -> Tarball {
    Tarball::new()
        .folder("./")
        .file(
            "./package.json",
            br#"{"name": "triage", "bulkhead": {"component": "a.wasm"}}"#,
        )
        .folder("src")
        .file("src/agent.js", b"export const name = 'triage';\n")
        .file(
            "README.md",
            b"# triage\n\nThe agent triage sorts letters.\n",
        )
}

/// A manifest's entry for an archive.
fn entry(name: &str, archive: &str, bytes: &[u8]) -> String {
    let digest = hex::encode(Sha256::digest(bytes));
    let size = bytes.len();
    format!(
        "[[template]]\nname = \"{name}\"\ndescription = \"Sorts letters.\"\narchive = \"{archive}\"\n\
         sha256 = \"{digest}\"\nsize = {size}\n"
    )
}

fn manifest(entries: &[String]) -> String {
    format!("format = 1\n{}", entries.concat())
}

/// A folder with the pack of one archive.
fn packed(bytes: &[u8]) -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.join("triage.tar.gz"), bytes).unwrap();
    let manifest = manifest(&[entry("triage", "triage.tar.gz", bytes)]);
    std::fs::write(folder.join("pack.toml"), manifest).unwrap();
    folder
}

/// Asks for a project and is refused with this code and these words; nothing is made.
async fn refused(within: &Path, words: &[&str], (code, named): (&str, &str)) {
    let before = names(within);
    let ended = init(within, &[words, &["--output", "json"]].concat()).await;
    assert_ne!(ended.status, 0, "{named}: {ended:?}");
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["error"]["code"], code, "{named}: {error}");
    let detail = error["error"]["detail"].as_str().unwrap();
    assert!(detail.contains(named), "{named}: {detail}");
    assert_eq!(names(within), before, "{named}: something was left");
}
