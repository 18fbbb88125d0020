//! A project in Rust: the template's package under another name, the SDK of this very host, and cargo's lock file, so
//! that it builds with what was tested.

use std::path::Path;

use rust_embed::RustEmbed;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::templates::{Files, OURS, Template, content, replaced, text};
use crate::cli::build::RUST;
use crate::cli::terminal::Failure;

#[derive(RustEmbed)]
#[folder = "../guest-sdk/"]
struct Sdk;

/// What every crate here shares, for the projects' own workspace.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
const LOCK: &[u8] = include_bytes!("../../../../Cargo.lock");
const IGNORED: &[u8] = b"/target\n/.bulkhead\n";
const DEPENDENCY: &str = "bulkhead-sdk";

/// The files of a project called `name`, but for the contract.
pub(super) fn project(template: &Template, name: &str) -> Result<Files, Failure> {
    let mut files = Files::new();
    for (place, content) in &template.files {
        files.insert(place.clone(), renamed(template, place, content, name));
    }
    let own = text(&template.files, RUST).unwrap_or_default();
    files.insert(
        RUST.into(),
        manifest(template, own, name)?.to_string().into(),
    );
    let lock = || LOCK.to_vec();
    files.entry("Cargo.lock".into()).or_insert_with(lock);
    let ignored = || IGNORED.to_vec();
    files.entry(".gitignore".into()).or_insert_with(ignored);
    for path in Sdk::iter().filter(|path| !path.starts_with("tests/")) {
        let mut content = content(Sdk::get(&path));
        if path == RUST {
            // What its own tests need is not there.
            let mut manifest = document(&String::from_utf8_lossy(&content));
            manifest.remove("dev-dependencies");
            content = manifest.to_string().into();
        }
        files.insert(format!("{OURS}/guest-sdk/{path}").into(), content);
    }
    Ok(files)
}

/// The project is a package and the workspace of the SDK's, with what those inherit.
fn manifest(template: &Template, own: &str, name: &str) -> Result<DocumentMut, Failure> {
    let unfit = |why: &str| {
        let detail = format!("the {RUST} of the template `{}` {why}", template.name);
        Failure::new("pack_refused", detail)
    };
    let mut manifest: DocumentMut = own.parse().map_err(|_| unfit("is no TOML"))?;
    let package = manifest.get_mut("package").and_then(Item::as_table_mut);
    let package = package.ok_or_else(|| unfit("has no [package]"))?;
    package["name"] = value(name);
    package.remove("description");
    // The author's own to choose.
    package.remove("license");
    let dependencies = manifest
        .get_mut("dependencies")
        .and_then(Item::as_table_like_mut);
    let sdk = dependencies.and_then(|all| all.get_mut(DEPENDENCY)?.as_table_like_mut());
    let sdk = sdk.ok_or_else(|| unfit("does not depend on bulkhead-sdk by a path"))?;
    let place = format!("{OURS}/guest-sdk");
    sdk.insert("path", value(&place));
    let here = document(WORKSPACE);
    let members = [place.clone(), format!("{place}/macros")];
    let mut workspace = Table::new();
    workspace["resolver"] = here["workspace"]["resolver"].clone();
    workspace["members"] = value(members.iter().collect::<Array>());
    workspace["package"] = here["workspace"]["package"].clone();
    workspace["lints"] = here["workspace"]["lints"].clone();
    manifest["workspace"] = Item::Table(workspace);
    let mut profile = Table::new();
    profile.set_implicit(true);
    profile["guest"] = here["profile"]["guest"].clone();
    manifest["profile"] = Item::Table(profile);
    Ok(manifest)
}

/// The file with the template's name replaced where it names the agent: as an identifier in Rust, as a word in what the
/// author reads.
fn renamed(template: &Template, place: &Path, content: &[u8], name: &str) -> Vec<u8> {
    let identifier = name.replace('-', "_");
    let own = template.name.replace('-', "_");
    let pairs = if place.extension().is_some_and(|end| end == "rs") {
        vec![
            (format!("fn {own}("), format!("fn {identifier}(")),
            (format!("({own}, "), format!("({identifier}, ")),
            (format!("({own})"), format!("({identifier})")),
            (format!("{own}::"), format!("{identifier}::")),
            (format!("\"{}\"", template.name), format!("\"{name}\"")),
        ]
    } else if place == Path::new("README.md") {
        super::foreign::titles(&template.name, name)
    } else {
        return content.to_owned();
    };
    replaced(content, &pairs)
}

/// A manifest of ours; the suite builds a project of each template.
fn document(text: &str) -> DocumentMut {
    text.parse().expect("what cargo reads is TOML")
}
