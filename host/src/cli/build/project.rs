//! What a folder is a project of, by the manifest that is in it, and what that manifest says of the component: for Rust
//! cargo knows, for the others a few lines under the name `bulkhead`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use toml_edit::{DocumentMut, Item};

use crate::cli::terminal::Failure;

pub(in crate::cli) const RUST: &str = "Cargo.toml";
pub(in crate::cli) const NODE: &str = "package.json";
pub(in crate::cli) const PYTHON: &str = "pyproject.toml";

/// An agent's project, by the language it is built with.
#[derive(Debug)]
pub(super) enum Project {
    Rust,
    Node(Node),
    Python(Python),
}

/// What `package.json` says: `npm run build` makes the component.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) component: PathBuf,
}

/// What `pyproject.toml` says: the words that make the component, the first of them a program of the environment.
#[derive(Debug)]
pub(super) struct Python {
    pub(super) name: String,
    pub(super) component: PathBuf,
    pub(super) build: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    bulkhead: Option<Bulkhead>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulkhead {
    component: PathBuf,
}

impl Project {
    /// A folder with more than one manifest is a Rust crate before it is anything else.
    pub(super) fn of(folder: &Path) -> Result<Self, Failure> {
        if folder.join(RUST).is_file() {
            return Ok(Self::Rust);
        }
        let node = read(folder, NODE)?.map(|text| node(&text)).transpose()?;
        if let Some(node) = node.flatten() {
            return Ok(Self::Node(node));
        }
        let python = read(folder, PYTHON)?
            .map(|text| python(&text))
            .transpose()?;
        if let Some(python) = python.flatten() {
            return Ok(Self::Python(python));
        }
        Err(Failure::new(
            "no_crate",
            format!(
                "{} is no agent's project: there is no {RUST} in it, no {NODE} with \
                 `\"bulkhead\": {{\"component\": …}}` and no {PYTHON} with a table `[tool.bulkhead]`",
                folder.display()
            ),
        ))
    }
}

fn read(folder: &Path, manifest: &str) -> Result<Option<String>, Failure> {
    let path = folder.join(manifest);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path);
    text.map(Some)
        .map_err(|error| Failure::new("io", format!("cannot read {}: {error}", path.display())))
}

/// `None` where the package is no agent.
fn node(text: &str) -> Result<Option<Node>, Failure> {
    let package: Value = serde_json::from_str(text).map_err(|error| bad(NODE, error))?;
    if package.get("bulkhead").is_none() {
        return Ok(None);
    }
    let package: Package = serde_json::from_value(package).map_err(|error| bad(NODE, error))?;
    let name = package.name.rsplit('/').next().unwrap_or_default();
    Ok(package.bulkhead.map(|bulkhead| Node {
        name: name.replace('_', "-"),
        component: bulkhead.component,
    }))
}

/// `None` where the project is no agent.
fn python(text: &str) -> Result<Option<Python>, Failure> {
    let document: DocumentMut = text.parse().map_err(|error| bad(PYTHON, error))?;
    let Some(table) = document.get("tool").and_then(|tool| tool.get("bulkhead")) else {
        return Ok(None);
    };
    let name = document
        .get("project")
        .and_then(|project| project.get("name"));
    let name = name.and_then(Item::as_str);
    let name = name.ok_or_else(|| bad(PYTHON, "it has no `name` under [project]"))?;
    let component = table.get("component").and_then(Item::as_str);
    let component =
        component.ok_or_else(|| bad(PYTHON, "it has no `component` under [tool.bulkhead]"))?;
    let words = table.get("build").and_then(Item::as_array);
    let words = words.and_then(|words| {
        let words = words.iter().map(|word| word.as_str().map(str::to_owned));
        words.collect::<Option<Vec<_>>>()
    });
    let build = words.filter(|words| !words.is_empty()).ok_or_else(|| {
        bad(
            PYTHON,
            "it has no `build` under [tool.bulkhead], the words of a command",
        )
    })?;
    Ok(Some(Python {
        name: name.replace('_', "-"),
        component: component.into(),
        build,
    }))
}

fn bad(manifest: &str, why: impl std::fmt::Display) -> Failure {
    let why = why.to_string();
    let why = why.lines().next().unwrap_or_default();
    Failure::new("bad_project", format!("{manifest} cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::{node, python};

    #[test]
    fn a_package_is_an_agent_where_it_says_so() {
        assert!(node("{\"name\": \"a\"}").unwrap().is_none());
        let text =
            "{\"name\": \"@acme/my_agent\", \"bulkhead\": {\"component\": \"build/a.wasm\"}}";
        assert_eq!(node(text).unwrap().unwrap().name, "my-agent");
        for wrong in ["{", "{\"name\": \"a\", \"bulkhead\": {\"wasm\": \"a\"}}"] {
            assert_eq!(node(wrong).unwrap_err().code, "bad_project");
        }
    }

    #[test]
    fn a_python_project_is_an_agent_where_it_says_so() {
        assert!(python("[project]\nname = \"a\"\n").unwrap().is_none());
        let text = "[project]\nname = \"my_agent\"\n[tool.bulkhead]\ncomponent = \"a.wasm\"\nbuild = [\"make\"]\n";
        assert_eq!(python(text).unwrap().unwrap().build, ["make"]);
        for left_out in [
            "name = \"my_agent\"\n",
            "component = \"a.wasm\"\n",
            "build = [\"make\"]\n",
        ] {
            assert_eq!(
                python(&text.replace(left_out, "")).unwrap_err().code,
                "bad_project"
            );
        }
        let empty = text.replace("\"make\"", "");
        assert_eq!(python(&empty).unwrap_err().code, "bad_project");
    }
}
