//! The rules of the house, held by reading its sources: no parser, only text as rustfmt leaves it. A rule that gets in
//! the way is amended in ARCHITECTURE.md and here, never stepped around.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod edges;
mod files;
mod migrations;
mod sdk;

use std::path::{Path, PathBuf};

/// The workspace's own folders with Rust in them.
const RUST: [&str; 6] = [
    "host",
    "guest-sdk",
    "templates",
    "tests/src",
    "tests/it",
    "tests/guests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a file, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder with this ending, by its path from the root, in order.
pub(crate) fn sources(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder))
            .into_iter()
            .flatten()
        {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            let is_folder = entry.file_type().unwrap().is_dir();
            if is_folder && !path.ends_with("/target") {
                folders.push(path);
            } else if !is_folder && path.ends_with(&format!(".{ending}")) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every Rust file of the workspace.
fn rust() -> Vec<String> {
    let found: Vec<String> = RUST
        .iter()
        .flat_map(|folder| sources(folder, "rs"))
        .collect();
    assert!(
        found.len() > 150,
        "the files are not where this test looks: {}",
        found.len()
    );
    found
}

/// The code of a file: without comments, and without the unit tests at its end.
fn code(path: &str) -> String {
    let text = read(path);
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(&text);
    let lines = code.lines().map(|line| match line.trim_start() {
        comment if comment.starts_with("//") => "",
        _ => line.split(" // ").next().unwrap_or(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Fails with every finding at once.
fn none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
