//! The native tests of a project: plain `cargo test`, its words on stderr. They run first: they take the least time and
//! say the most.

use std::path::Path;

use tokio::process::Command;

use crate::cli::build::{RUST, Toolchain};
use crate::cli::terminal::Failure;

/// Whether the project has native tests: those of other languages run theirs by themselves.
pub(super) fn are_there(folder: &Path) -> bool {
    folder.join(RUST).is_file()
}

pub(super) async fn run(folder: &Path) -> Result<(), Failure> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(folder).args(["test", "--quiet"]);
    if Toolchain::Rust.tell(cargo).await?.success() {
        return Ok(());
    }
    let detail = format!(
        "native tests in {} do not pass: see cargo's words above, or leave them out with --skip-native",
        folder.display()
    );
    Err(Failure::new("native_tests_failed", detail))
}
