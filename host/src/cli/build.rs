//! Building an agent's crate into a component, by cargo: in a target folder of its own, so that it never waits for the
//! build this program may run under. Used by `dev`, `deploy` and `test`. Leaves no cargo behind when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::terminal::{Failure, Output};

pub(super) const TARGET: &str = "wasm32-wasip2";

/// What a component is built for. Each is a profile of cargo's, given to it where a workspace does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
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

/// A built component.
#[derive(Debug)]
pub(super) struct Built {
    /// What the package calls the agent.
    pub(super) agent: String,
    pub(super) wasm: PathBuf,
}

/// Whether a folder holds an agent's project, by its look.
pub(super) fn is_project(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| line.trim() == "[package]")
}

/// Builds the crate in `folder`. cargo's own words go to stderr.
pub(super) async fn build(folder: &Path, aim: For, out: Output) -> Result<Built, Failure> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        let detail = format!(
            "{} is no agent's crate: there is no Cargo.toml in it",
            folder.display()
        );
        return Err(Failure::new("no_crate", detail));
    }
    let (metadata, ()) = tokio::try_join!(metadata(folder), ensure_target(folder, out))?;
    let manifest = manifest.canonicalize()?;
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
    let (status, messages) = run(cargo, Stdio::inherit()).await?;
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
pub(super) async fn has_target(folder: &Path) -> Result<bool, Failure> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(folder).args(["--print", "sysroot"]);
    let (status, sysroot) = run(rustc, Stdio::null()).await?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
    // Asked of the toolchain itself: it need not be rustup's.
    Ok(status.success() && sysroot.join("lib/rustlib").join(TARGET).is_dir())
}

async fn ensure_target(folder: &Path, out: Output) -> Result<(), Failure> {
    if has_target(folder).await? {
        return Ok(());
    }
    out.note(format!("adding the Rust target {TARGET}"));
    let command = format!("rustup target add {TARGET}");
    let missing = |why: String| {
        let detail = format!(
            "the Rust target {TARGET} is missing{why}: run `{command}` (rustup is at https://rustup.rs)"
        );
        Failure::new("no_wasm_target", detail)
    };
    let mut rustup = Command::new("rustup");
    rustup.current_dir(folder).args(["target", "add", TARGET]);
    match run(rustup, Stdio::inherit()).await {
        Ok((status, _)) if status.success() => Ok(()),
        Ok(_) => Err(missing(" and rustup could not add it".to_owned())),
        Err(failure) => Err(missing(format!(" and {}", failure.detail))),
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
    let (status, metadata) = run(cargo, Stdio::inherit()).await?;
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

/// Runs a tool to its end; what it prints is the answer.
async fn run(mut tool: Command, errors: Stdio) -> Result<(ExitStatus, Vec<u8>), Failure> {
    let name = tool.as_std().get_program().to_string_lossy().into_owned();
    tool.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .process_group(0);
    let mut group = Group(tool.spawn().map_err(|error| {
        Failure::new(
            "no_rust",
            format!("`{name}` cannot be run ({error}): install Rust from https://rustup.rs"),
        )
    })?);
    let mut answer = Vec::new();
    if let Some(stdout) = &mut group.0.stdout {
        stdout.read_to_end(&mut answer).await?;
    }
    let status = group.0.wait().await?;
    Ok((status, answer))
}

/// A tool and whatever it started: none of them outlives the wait for it.
pub(super) struct Group(pub(super) Child);

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has been waited for has no id any more.
        if let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}
