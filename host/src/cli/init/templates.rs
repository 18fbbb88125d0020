//! What a project is made from: a template's files under another name, and the contract of this very host. Those that
//! are in the program are read here; those of a pack come from `pack`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;
use serde_json::Value;
use toml_edit::DocumentMut;

use super::{foreign, rust};
use crate::cli::build::{NODE, PYTHON, RUST};
use crate::cli::terminal::Failure;

/// The files of a project, by their place in it.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

#[derive(RustEmbed)]
#[folder = "../templates/"]
struct Sources;

#[derive(RustEmbed)]
#[folder = "../wit/"]
struct Contract;

/// Where a project keeps what this host gives it: the contract, and for Rust the SDK beside it.
pub(super) const OURS: &str = "bulkhead";

/// What is done with a new agent in Rust.
const RUST_NEXT: &[&str] = &[
    "cd {folder}",
    "bulkhead test               # its own tests, then the component in the sandbox",
    "bulkhead dev                # builds, deploys and serves it, again with every save",
    "bulkhead run {name} \"hello\"",
];
/// The same of a guardrail component.
const GUARDRAIL_NEXT: &[&str] = &[
    "cargo test --manifest-path {folder}/Cargo.toml     # native",
    "bulkhead deploy {name} {folder}     # where `bulkhead dev` runs; agents then name it: component={name}",
];
const NODE_NEXT: &[&str] = &[
    "cd {folder}",
    "npm test                    # in Node.js, without a host",
    "bulkhead dev --agent .      # installs, builds, deploys and serves it",
    "bulkhead run {name} \"hello\"",
];
const PYTHON_NEXT: &[&str] = &[
    "cd {folder}",
    "python3 -m unittest discover -s test     # without a host",
    "bulkhead dev --agent .      # installs, builds, deploys and serves it",
    "bulkhead run {name} \"hello\"",
];

/// What a template's project is built with, by the manifest that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    JavaScript,
    Python,
}

/// One of the templates.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) name: String,
    /// One line.
    pub(super) description: String,
    pub(super) language: Language,
    pub(super) files: Files,
}

/// All that are in the program, by name.
pub(super) fn all() -> Vec<Template> {
    let mut folders = BTreeMap::<String, Files>::new();
    for path in Sources::iter() {
        if let Some((name, place)) = path.split_once('/') {
            let files = folders.entry(name.to_owned()).or_default();
            files.insert(place.into(), content(Sources::get(&path)));
        }
    }
    let templates = folders.into_iter().filter_map(|(name, files)| {
        let language = Language::of(&files)?;
        let description = language.description(&files).unwrap_or_default();
        Some(Template {
            name,
            description,
            language,
            files,
        })
    });
    templates.collect()
}

impl Language {
    /// `None` where the files are no project.
    pub(super) fn of(files: &Files) -> Option<Self> {
        let manifests = [
            (RUST, Self::Rust),
            (NODE, Self::JavaScript),
            (PYTHON, Self::Python),
        ];
        let found = manifests
            .into_iter()
            .find(|(manifest, _)| files.contains_key(Path::new(manifest)));
        found.map(|(_, language)| language)
    }

    /// The line its manifest describes it with.
    fn description(self, files: &Files) -> Option<String> {
        let document = |manifest| text(files, manifest)?.parse::<DocumentMut>().ok();
        let described = match self {
            Self::Rust => document(RUST)?["package"]["description"]
                .as_str()?
                .to_owned(),
            Self::Python => document(PYTHON)?["project"]["description"]
                .as_str()?
                .to_owned(),
            Self::JavaScript => {
                let package: Value = serde_json::from_str(text(files, NODE)?).ok()?;
                package["description"].as_str()?.to_owned()
            }
        };
        Some(described)
    }
}

impl Template {
    /// The files of a project called `name`.
    pub(super) fn project(&self, name: &str) -> Result<Files, Failure> {
        let mut files = match self.language {
            Language::Rust => rust::project(self, name)?,
            Language::JavaScript | Language::Python => foreign::project(self, name),
        };
        for path in Contract::iter() {
            let place = format!("{OURS}/wit/{path}");
            files.insert(place.into(), content(Contract::get(&path)));
        }
        Ok(files)
    }

    /// What to do with a project of it, a line each.
    pub(super) fn next(&self) -> &'static [&'static str] {
        match self.language {
            Language::Rust if self.name == "guardrail" => GUARDRAIL_NEXT,
            Language::Rust => RUST_NEXT,
            Language::JavaScript => NODE_NEXT,
            Language::Python => PYTHON_NEXT,
        }
    }
}

/// One of a project's files, as text.
pub(super) fn text<'a>(files: &'a Files, place: &str) -> Option<&'a str> {
    std::str::from_utf8(files.get(Path::new(place))?).ok()
}

/// The text with each of these words replaced; bytes that are no text stay as they are.
pub(super) fn replaced(content: &[u8], pairs: &[(String, String)]) -> Vec<u8> {
    match std::str::from_utf8(content) {
        Ok(text) => pairs
            .iter()
            .fold(text.to_owned(), |text, (own, new)| text.replace(own, new))
            .into(),
        Err(_) => content.to_owned(),
    }
}

pub(super) fn content(file: Option<rust_embed::EmbeddedFile>) -> Vec<u8> {
    file.map(|file| file.data.into_owned()).unwrap_or_default()
}
