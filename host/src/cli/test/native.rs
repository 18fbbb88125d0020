//! The native tests of a project: plain `cargo test`, its words on stderr. They run first: they take the least time and
//! say the most.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::cli::build::Group;
use crate::cli::terminal::Failure;

/// Whether the project has native tests: those of other languages run theirs by themselves.
pub(super) fn are_there(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file()
}

pub(super) async fn run(folder: &Path) -> Result<(), Failure> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args(["test", "--quiet"]);
    cargo
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .stderr(Stdio::inherit())
        .process_group(0);
    let mut group = Group(cargo.spawn().map_err(|error| {
        let detail =
            format!("`cargo` cannot be run ({error}): install Rust from https://rustup.rs");
        Failure::new("no_rust", detail)
    })?);
    if group.0.wait().await?.success() {
        return Ok(());
    }
    let detail = format!(
        "native tests in {} do not pass: see cargo's words above, or leave them out with --skip-native",
        folder.display()
    );
    Err(Failure::new("native_tests_failed", detail))
}
