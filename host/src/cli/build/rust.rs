//! An agent's crate: cargo builds it, in a target folder of its own, so that it never waits for the build this program
//! may run under. The wasm target is added where it is missing.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::Built;
use super::tool::{INSTALL_RUST, Toolchain};
use crate::cli::terminal::{Failure, Output};

pub(in crate::cli) const TARGET: &str = "wasm32-wasip2";

/// What a component is built for. Each is a profile of cargo's, given to it where a workspace does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum For {
    /// To be shipped: small, and quickly compiled by hosts. What Bulkhead's own workspace says.
    Hosts,
    /// To be seen: soon after a save. As optimised, but crate by crate, and only what changed.
    Author,
}

impl For {
    fn profile(self) -> &'static str {
        match self {
            Self::Hosts => "guest",
            Self::Author => "guest-dev",
        }
    }

    fn settings(self) -> [&'static str; 8] {
        let [lto, units, incremental] = match self {
            Self::Hosts => ["lto=true", "codegen-units=1", "incremental=false"],
            Self::Author => ["lto='off'", "codegen-units=16", "incremental=true"],
        };
        [
            "inherits='release'",
            "debug=false",
            "opt-level='s'",
            "panic='abort'",
            "strip=true",
            lto,
            units,
            incremental,
        ]
    }
}

/// Builds the crate in `folder`. cargo's own words go to stderr.
pub(super) async fn build(folder: &Path, aim: For, out: Output) -> Result<Built, Failure> {
    let (metadata, ()) = tokio::try_join!(metadata(folder), ensure_target(folder, out))?;
    let manifest = folder.join("Cargo.toml").canonicalize()?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path == manifest)
        .ok_or_else(|| {
            Failure::new(
                "no_crate",
                format!(
                    "{} is a workspace without a package: name an agent's crate",
                    folder.display()
                ),
            )
        })?;
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(folder)
        .args(["build", "--target", TARGET, "--lib"])
        .args(["--profile", aim.profile()]);
    cargo.args([
        "--message-format",
        "json-render-diagnostics",
        "--target-dir",
    ]);
    cargo.arg(metadata.target_directory.join("guests"));
    if !defines(&metadata.workspace_root, aim.profile()) {
        for setting in aim.settings() {
            cargo.args(["--config", &format!("profile.{}.{setting}", aim.profile())]);
        }
    }
    let (status, messages) = Toolchain::Rust.ask(cargo, Stdio::inherit()).await?;
    if !status.success() {
        let detail = format!(
            "the agent in {} does not build: see cargo's words above",
            folder.display()
        );
        return Err(Failure::new("build_failed", detail));
    }
    let wasm = component(&messages, &manifest).ok_or_else(|| {
        let detail = format!(
            "{} makes no component: set crate-type = [\"cdylib\"] under [lib]",
            manifest.display()
        );
        Failure::new("build_failed", detail)
    })?;
    Ok(Built {
        agent: package.name.replace('_', "-"),
        wasm,
    })
}

/// Whether the toolchain of `folder` can compile for the target.
pub(in crate::cli) async fn has_target(folder: &Path) -> Result<bool, Failure> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(folder).args(["--print", "sysroot"]);
    let (status, sysroot) = Toolchain::Rust.ask(rustc, Stdio::null()).await?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    // Asked of the toolchain itself: it need not be rustup's.
    Ok(status.success() && sysroot.join("lib/rustlib").join(TARGET).is_dir())
}

async fn ensure_target(folder: &Path, out: Output) -> Result<(), Failure> {
    if has_target(folder).await? {
        return Ok(());
    }
    out.note(format!("adding the Rust target {TARGET}"));
    let missing = |why: &str, command: &str| {
        let detail = format!("the Rust target {TARGET} is missing{why}: run `{command}`");
        Failure::new("no_wasm_target", detail)
    };
    let command = format!("rustup target add {TARGET}");
    let mut rustup = Command::new("rustup");
    rustup.current_dir(folder).args(["target", "add", TARGET]);
    match Toolchain::Rust.tell(rustup).await {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(missing(" and rustup could not add it", &command)),
        // Who has Rust without rustup gets the target with it.
        Err(_) => Err(missing("", INSTALL_RUST)),
    }
}

/// What cargo says of the crate and its workspace.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

async fn metadata(folder: &Path) -> Result<Metadata, Failure> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(folder)
        .args(["metadata", "--no-deps", "--format-version", "1"]);
    let (status, metadata) = Toolchain::Rust.ask(cargo, Stdio::inherit()).await?;
    if !status.success() {
        return Err(Failure::new(
            "build_failed",
            format!("cargo cannot read {}/Cargo.toml", folder.display()),
        ));
    }
    Ok(serde_json::from_slice(&metadata)?)
}

fn defines(workspace: &Path, profile: &str) -> bool {
    // A manifest that cannot be read is cargo's to complain about.
    let manifest = std::fs::read_to_string(workspace.join("Cargo.toml")).unwrap_or_default();
    manifest
        .lines()
        .any(|line| line.trim() == format!("[profile.{profile}]"))
}

/// The component among what cargo says it made.
fn component(messages: &[u8], manifest: &Path) -> Option<PathBuf> {
    let made = messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let ours = made.filter(|message| {
        message["reason"] == "compiler-artifact"
            && message["manifest_path"].as_str().map(Path::new) == Some(manifest)
    });
    let files: Vec<_> = ours
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .collect();
    files
        .iter()
        .filter_map(Value::as_str)
        .map(PathBuf::from)
        .find(|file| file.extension().is_some_and(|e| e == "wasm"))
}
