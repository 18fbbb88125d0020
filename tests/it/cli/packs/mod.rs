//! `init --from`: a project from a pack of others, from a file or the web; whatever is wrong with a pack is told, and
//! leaves nothing behind.

mod archives;
mod places;

use std::path::Path;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::tarball::Tarball;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::init::{init, names};

/// A project that nothing is wrong with.
fn project() -> Tarball {
    Tarball::new()
        .folder("./")
        .file(
            "./package.json",
            br#"{"name": "triage", "bulkhead": {"component": "a.wasm"}}"#,
        )
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
