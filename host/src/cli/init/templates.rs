//! The templates that are in the program, and what a project of one is made of: the template's files under another
//! name, the SDK and the contract of this very host, and cargo's lock file, so that it builds with what was tested.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rust_embed::RustEmbed;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use crate::cli::terminal::Failure;

/// The files of a project, by their place in it.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

#[derive(RustEmbed)]
#[folder = "../templates/"]
struct Sources;

#[derive(RustEmbed)]
#[folder = "../guest-sdk/"]
struct Sdk;

#[derive(RustEmbed)]
#[folder = "../wit/"]
struct Contract;

/// What every crate here shares, for the projects' own workspace.
const WORKSPACE: &str = include_str!("../../../../Cargo.toml");
const LOCK: &[u8] = include_bytes!("../../../../Cargo.lock");
/// Where a project keeps the SDK, with the contract beside it, as here.
const SDK: &str = "bulkhead/guest-sdk";
const CONTRACT: &str = "bulkhead/wit";
const IGNORED: &[u8] = b"/target\n/.bulkhead\n";

/// What is done with a new agent.
const AGENT: &[&str] = &[
    "cd {folder}",
    "cargo test                  # against the mock host",
    "bulkhead dev                # builds, deploys and serves it, again with every save",
    "bulkhead run {name} \"hello\"",
];
/// The same of a guardrail component.
const GUARDRAIL: &[&str] = &[
    "cargo test --manifest-path {folder}/Cargo.toml     # native",
    "bulkhead deploy {name} {folder}     # where `bulkhead dev` runs; agents then name it: component={name}",
];

/// One of the templates.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: String,
    /// One line, its package's description.
    pub(super) description: String,
    /// What to do with a project of it, a line each.
    pub(super) next: &'static [&'static str],
    manifest: DocumentMut,
}

/// All of them, by name.
pub(super) fn all() -> Vec<Template> {
    let manifests = Sources::iter().filter_map(|path| {
        let name = path.strip_suffix("/Cargo.toml")?.to_owned();
        let manifest = document(&Sources::get(&path)?.data);
        let description = manifest["package"]["description"].as_str();
        Some(Template {
            description: description.unwrap_or_default().to_owned(),
            next: if name == "guardrail" {
                GUARDRAIL
            } else {
                AGENT
            },
            name,
            manifest,
        })
    });
    let mut all: Vec<_> = manifests.collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

impl Template {
    /// The files of a project called `name`.
    pub(super) fn project(&self, name: &str) -> Result<Files, Failure> {
        let mut files = Files::new();
        let folder = format!("{}/", self.name);
        for path in Sources::iter() {
            let Some(place) = path.strip_prefix(&folder) else {
                continue;
            };
            let content = Sources::get(&path).map(|file| file.data.into_owned());
            let content = content.unwrap_or_default();
            files.insert(place.into(), self.renamed(place, content, name));
        }
        files.insert("Cargo.toml".into(), self.manifest(name).to_string().into());
        files.insert("Cargo.lock".into(), LOCK.to_vec());
        files.insert(".gitignore".into(), IGNORED.to_vec());
        for path in Contract::iter() {
            let content = Contract::get(&path).map(|file| file.data.into_owned());
            files.insert(
                format!("{CONTRACT}/{path}").into(),
                content.unwrap_or_default(),
            );
        }
        for path in Sdk::iter().filter(|path| !path.starts_with("tests/")) {
            let content = Sdk::get(&path).map(|file| file.data.into_owned());
            let mut content = content.unwrap_or_default();
            if path == "Cargo.toml" {
                // What its own tests need is not there.
                let mut manifest = document(&content);
                manifest.remove("dev-dependencies");
                content = manifest.to_string().into();
            }
            files.insert(format!("{SDK}/{path}").into(), content);
        }
        Ok(files)
    }

    /// The project is a package and the workspace of the SDK's, with what those inherit.
    fn manifest(&self, name: &str) -> DocumentMut {
        let here = document(WORKSPACE.as_bytes());
        let mut manifest = self.manifest.clone();
        manifest["package"]["name"] = value(name);
        if let Some(package) = manifest["package"].as_table_mut() {
            package.remove("description");
            // The author's own to choose.
            package.remove("license");
        }
        manifest["dependencies"]["bulkhead-sdk"]["path"] = value(SDK);
        let members = [SDK.to_owned(), format!("{SDK}/macros")];
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
        manifest
    }

    /// The file with the template's name replaced where it names the agent: as an identifier in Rust, as a word in what
    /// the author reads.
    fn renamed(&self, place: &str, content: Vec<u8>, name: &str) -> Vec<u8> {
        let identifier = name.replace('-', "_");
        let own = self.name.replace('-', "_");
        let pairs = match place.rsplit_once('.') {
            Some((_, "rs")) => vec![
                (format!("fn {own}("), format!("fn {identifier}(")),
                (format!("({own}, "), format!("({identifier}, ")),
                (format!("({own})"), format!("({identifier})")),
                (format!("{own}::"), format!("{identifier}::")),
                (format!("\"{}\"", self.name), format!("\"{name}\"")),
            ],
            _ if place == "README.md" => vec![
                (format!("# {}\n", self.name), format!("# {name}\n")),
                (format!(" {} ", self.name), format!(" {name} ")),
                (
                    format!("component={}`", self.name),
                    format!("component={name}`"),
                ),
            ],
            _ => return content,
        };
        match String::from_utf8(content) {
            Ok(text) => pairs
                .into_iter()
                .fold(text, |text, (own, new)| text.replace(&own, &new))
                .into(),
            Err(bytes) => bytes.into_bytes(),
        }
    }
}

/// A manifest of ours; the suite builds a project of each template.
fn document(text: &[u8]) -> DocumentMut {
    let text = String::from_utf8_lossy(text);
    text.parse().expect("what cargo reads is TOML")
}
