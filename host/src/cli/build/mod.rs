//! Building an agent's project into a component, by the toolchain of its language: cargo, npm or pip. Used by `build`,
//! `dev`, `deploy` and `test`. Must hold: a project is built by what its own lock file names, and nothing of a toolchain
//! outlives the wait for it.

mod command;
mod node;
mod project;
mod python;
mod rust;
mod tool;

use std::path::{Path, PathBuf};

pub(super) use self::command::{Args, run};
use self::project::Project;
pub(super) use self::project::{NODE, PYTHON, RUST};
pub(super) use self::rust::{For, TARGET, has_target};
pub(super) use self::tool::Toolchain;
use super::terminal::{Failure, Output};

/// A built component.
#[derive(Debug)]
pub(super) struct Built {
    /// What the project calls the agent.
    pub(super) agent: String,
    pub(super) wasm: PathBuf,
}

/// Whether a folder holds an agent's project, by its look.
pub(super) fn is_project(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join(RUST));
    match manifest {
        // A workspace is none, whatever is in it.
        Ok(manifest) => manifest.lines().any(|line| line.trim() == "[package]"),
        Err(_) => Project::of(folder).is_ok(),
    }
}

/// Builds the project in `folder`. The toolchain's own words go to stderr.
pub(super) async fn build(folder: &Path, aim: For, out: Output) -> Result<Built, Failure> {
    match Project::of(folder)? {
        Project::Rust => rust::build(folder, aim, out).await,
        Project::Node(agent) => node::build(folder, agent, out).await,
        Project::Python(agent) => python::build(folder, agent, out).await,
    }
}
