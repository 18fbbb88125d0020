//! What an archive may hold: a project, and nothing that would reach beyond its folder or never end.

use std::fs::read_to_string;

use tar::EntryType;

use super::{Tarball, packed, project, refused};
use crate::cli::init::{init, names};

const FROM: [&str; 3] = ["letters", "--from", "pack.toml"];

/// An archive of the project and one more entry is refused.
async fn with(kind: EntryType, name: &str, link: &str, named: &str) {
    let archive = project().entry(kind, (name.as_bytes(), link), b"");
    archive_is_refused(archive, named).await;
}

async fn archive_is_refused(archive: Tarball, named: &str) {
    bytes_are_refused(&archive.bytes(), named).await;
}

async fn bytes_are_refused(bytes: &[u8], named: &str) {
    let pack = packed(bytes);
    refused(&pack, &FROM, ("pack_refused", named)).await;
}

#[tokio::test]
async fn a_project_is_made_under_its_name() {
    let pack = packed(&project().bytes());
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
}

#[tokio::test]
async fn a_crate_gets_the_sdk() {
    let manifest = "[package]\nname = \"triage\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                    [lib]\ncrate-type = [\"cdylib\"]\n\
                    [dependencies]\nbulkhead-sdk = { path = \"../sdk\" }\n";
    let code = b"//! A.\nuse bulkhead_sdk::{Outcome, Result, Turn, agent};\n/// A.\n#[agent]\npub fn triage(_: Turn) -> Result<Outcome> {\n    Ok(Outcome::EndTurn)\n}\n";
    let archive = Tarball::new()
        .file("Cargo.toml", manifest.as_bytes())
        .file("src/lib.rs", code);
    let pack = packed(&archive.bytes());
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
        archive_is_refused(Tarball::new().file("Cargo.toml", wrong.as_bytes()), named).await;
    }
}

#[tokio::test]
async fn no_name_leads_out_of_the_folder() {
    for (name, named) in [
        ("../evil", "leads out"),
        ("src/../../evil", "leads out"),
        ("src/..", "leads out"),
        ("src//evil", "leads out"),
        ("src/./evil", "leads out"),
        ("/etc/evil", "root"),
        ("src\\..\\evil", "plain name"),
        ("src/e\u{1b}[2Jvil", "plain name"),
        ("a/b/c/d/e/f/g/h/i/j/k/l/m", "too deep"),
        (".git/hooks/pre-commit", ".git"),
        ("src/.GIT/config", ".GIT"),
        ("node_modules/a/index.js", "node_modules"),
        ("bulkhead/wit/agent.wit", "bulkhead"),
    ] {
        with(EntryType::Regular, name, "", named).await;
    }
    with(EntryType::Directory, "../evil", "", "leads out").await;
    let latin = Tarball::new().entry(EntryType::Regular, (b"caf\xe9.js", ""), b"");
    archive_is_refused(latin, "UTF-8").await;
}

#[tokio::test]
async fn nothing_but_files_and_folders() {
    with(EntryType::Symlink, "link", "/etc/passwd", "symbolic link").await;
    with(EntryType::Symlink, "src/link", "agent.js", "symbolic link").await;
    with(EntryType::Link, "link", "package.json", "hard link").await;
    with(EntryType::Char, "tty", "", "device").await;
    with(EntryType::Block, "disk", "", "device").await;
    with(EntryType::Fifo, "pipe", "", "pipe").await;
    with(EntryType::Continuous, "odd", "", "neither").await;
    with(EntryType::Regular, "src/", "", "like a folder").await;
}

#[tokio::test]
async fn no_two_names_take_one_place() {
    let empty = EntryType::Regular;
    with(empty, "package.json", "", "same place").await;
    with(empty, "./package.json", "", "same place").await;
    with(empty, "Package.JSON", "", "same place").await;
    with(empty, "SRC/other.js", "", "same place").await;
    with(empty, "src", "", "same place").await;
    with(empty, "package.json/a", "", "same place").await;
    with(EntryType::Directory, "README.md", "", "same place").await;
}

#[tokio::test]
async fn what_would_fill_a_disk_is_not_unpacked() {
    let zeros = vec![0; 1 << 20];
    let large = project().file("zeros", &vec![0; 40 << 20]);
    archive_is_refused(large, "more than 33554432 bytes").await;
    let mut many = project();
    for number in 0..40 {
        many = many.file(&format!("zeros-{number}"), &zeros);
    }
    archive_is_refused(many, "more than 33554432 bytes").await;
    let mut crowd = project();
    for number in 0..1_000 {
        crowd = crowd.file(&format!("empty-{number}"), b"");
    }
    archive_is_refused(crowd, "more than 1000 entries").await;
    // A name of its own in an entry before it, which is read whole.
    let long = EntryType::GNULongName;
    let endless = project().entry(long, (b"long", ""), &vec![b'a'; 40 << 20]);
    archive_is_refused(endless, "33554432").await;
    let claimed = [(1 << 40, "33554432"), (4_096, "ends within")];
    for (size, named) in claimed {
        let short = (&b"short"[..], size);
        let archive = Tarball::new().claiming(EntryType::Regular, (b"package.json", ""), short);
        // Without the end that an archive has.
        let whole = archive.bytes();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&whole[..]), &mut bytes)
            .unwrap();
        bytes.truncate(1_024);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, &bytes).unwrap();
        bytes_are_refused(&gzip.finish().unwrap(), named).await;
    }
}

#[tokio::test]
async fn what_is_no_archive_of_a_project() {
    bytes_are_refused(b"<html>Not here.</html>", "no tar archive").await;
    let whole = project().bytes();
    bytes_are_refused(&whole[..whole.len() / 2], "no tar archive").await;
    archive_is_refused(Tarball::new(), "no file").await;
    archive_is_refused(Tarball::new().folder("src"), "no file").await;
    let nested = Tarball::new().file("triage/package.json", b"{}");
    archive_is_refused(nested, "at its top").await;
}
