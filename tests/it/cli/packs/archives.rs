//! What an archive may hold: a project, and nothing that would reach beyond its folder or never end.

use std::fs::read_to_string;

use bulkhead_tests::tarball::Tarball;
use tar::EntryType;

use super::{packed, project, refused};
use crate::cli::init::{init, names};

const FROM: [&str; 3] = ["letters", "--from", "pack.toml"];

async fn is_refused(archive: Tarball, named: &str) {
    bytes_are_refused(&archive.done(), named).await;
}

async fn bytes_are_refused(bytes: &[u8], named: &str) {
    let pack = packed(bytes);
    refused(&pack, &FROM, ("pack_refused", named)).await;
    let deep = [&FROM[..], &["--dir", "a/new/place"]].concat();
    refused(&pack, &deep, ("pack_refused", named)).await;
}

#[tokio::test]
async fn a_project_is_made_under_its_name() {
    let pack = packed(&project().done());
    let made = init(&pack, &[&FROM[..], &["--output", "json"]].concat()).await;
    assert_eq!(made.status, 0, "{made:?}");
    assert_eq!(made.document()["template"], "triage");
    let letters = pack.join("letters");
    assert_eq!(
        names(&letters),
        [".gitignore", "README.md", "bulkhead", "package.json", "src"]
    );
    let text = |place: &str| read_to_string(letters.join(place)).unwrap();
    assert!(text("package.json").contains("\"name\": \"letters\""));
    assert_eq!(text("src/agent.js"), "export const name = 'letters';\n");
    assert!(text("README.md").starts_with("# letters\n\nThe agent letters sorts"));
    assert!(text("bulkhead/wit/agent.wit").contains("world agent"));
    // What is there is never written over.
    refused(&pack, &FROM, ("folder_not_empty", "letters")).await;
    let deep = init(&pack, &[&FROM[..], &["--dir", "a/new/place"]].concat()).await;
    assert_eq!(deep.status, 0, "{deep:?}");
    assert!(pack.join("a/new/place/package.json").is_file());
    assert_eq!(names(&pack.join("a/new")), ["place"]);
}

#[tokio::test]
async fn a_crate_gets_the_sdk() {
    let manifest = "[package]\nname = \"triage\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n\
                    [dependencies]\nbulkhead-sdk = { path = \"../sdk\" }\n";
    let code = b"//! A.\nuse bulkhead_sdk::{Outcome, Result, Turn, agent};\n/// A.\n#[agent]\n\
                 pub fn triage(_: Turn) -> Result<Outcome> {\n    Ok(Outcome::EndTurn)\n}\n";
    let archive = Tarball::new()
        .file("Cargo.toml", manifest.as_bytes())
        .file("src/lib.rs", code);
    let pack = packed(&archive.done());
    let made = init(&pack, &FROM).await;
    assert_eq!(made.status, 0, "{made:?}");
    let letters = pack.join("letters");
    let code = read_to_string(letters.join("src/lib.rs")).unwrap();
    assert!(code.contains("pub fn letters("), "{code}");
    let mut cargo = tokio::process::Command::new("cargo");
    cargo.args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let metadata = cargo.current_dir(&letters).output().await.unwrap();
    assert!(metadata.status.success(), "{metadata:?}");
    let metadata = String::from_utf8(metadata.stdout).unwrap();
    assert!(metadata.contains("bulkhead-sdk-macros"), "{metadata}");

    for (wrong, named) in [
        ("[workspace]\n", "[package]"),
        ("[package]\nname = \"triage\"\n", "bulkhead-sdk"),
        ("[package\n", "no TOML"),
    ] {
        is_refused(Tarball::new().file("Cargo.toml", wrong.as_bytes()), named).await;
    }
}

#[tokio::test]
async fn no_name_leads_out_of_the_folder() {
    for (name, named) in [
        ("../evil", "out of its folder"),
        ("src/../../evil", "out of its folder"),
        ("/etc/evil", "at the root"),
        ("src\\..\\evil", "a backslash"),
        ("src/e\u{1b}[2Jvil", "control character"),
        (".git/hooks/pre-commit", "`.git` in"),
        ("src/.GIT/config", "`src/.GIT` in"),
        ("src/node_modules/a.js", "`src/node_modules` in"),
        ("bulkhead/wit/agent.wit", "`bulkhead` in"),
        ("Target/debug/build", "`Target` in"),
    ] {
        is_refused(project().raw(name, b""), named).await;
    }
    // Below the top these are names as others.
    let archive = project().raw("src/target/bulkhead.js", b"").done();
    assert_eq!(init(&packed(&archive), &FROM).await.status, 0);
}

#[tokio::test]
async fn nothing_but_files_and_folders() {
    is_refused(project().symlink("link", "/etc/passwd"), "a link").await;
    is_refused(project().symlink("src/link", "agent.js"), "a link").await;
    is_refused(project().hard("link", "package.json"), "a hard link").await;
    for (kind, named) in [
        (EntryType::Char, "a device"),
        (EntryType::Block, "a device"),
        (EntryType::Fifo, "a pipe"),
        (EntryType::new(b'V'), "unusual"),
    ] {
        is_refused(project().special("special", kind), named).await;
    }
}

#[tokio::test]
async fn no_two_names_take_one_place() {
    for name in ["package.json", "./package.json", "src", "package.json/a"] {
        is_refused(project().raw(name, b""), "twice").await;
    }
    for name in ["Package.JSON", "SRC/other.js", "src/AGENT.js"] {
        is_refused(project().raw(name, b""), "same place").await;
    }
}

#[tokio::test]
async fn what_would_fill_a_disk_is_not_unpacked() {
    is_refused(project().file("zeros", &vec![0; 9 << 20]), "8388608 bytes").await;
    let mut many = project();
    for number in 0..9 {
        many = many.file(&format!("zeros-{number}"), &vec![0; 4 << 20]);
    }
    is_refused(many, "more than 33554432 bytes").await;
    let mut crowd = project();
    for number in 0..1_000 {
        crowd = crowd.file(&format!("empty-{number}"), b"");
    }
    is_refused(crowd, "more than 1000 entries").await;
}

#[tokio::test]
async fn what_is_no_archive_of_a_project() {
    bytes_are_refused(b"<html>Not here.</html>", "no gzipped tar").await;
    let whole = project().done();
    bytes_are_refused(&whole[..whole.len() / 2], "damaged").await;
    is_refused(Tarball::new(), "no file").await;
    is_refused(Tarball::new().folder("src"), "no file").await;
    let nested = Tarball::new().file("triage/package.json", b"{}");
    is_refused(nested, "at its top").await;
}
