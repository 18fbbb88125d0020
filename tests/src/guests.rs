//! The guests of `tests/guests`: built once for a test run, for wasm, in a target folder of their own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::host::guest_target;

/// One guest; `tests/build.rs` makes a constant for each.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    pub name: &'static str,
}

impl Guest {
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// The component's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        built();
        read(
            &guest_target()
                .join("wasm32-wasip2/guest/examples")
                .join(format!("{}.wasm", self.name)),
        )
    }
}

/// A template's component, by its crate's name.
pub fn template(name: &str) -> Vec<u8> {
    built();
    read(
        &guest_target()
            .join("wasm32-wasip2/guest")
            .join(format!("{}.wasm", name.replace('-', "_"))),
    )
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn built() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(build);
}

#[expect(clippy::disallowed_methods, reason = "cargo names itself to its tests")]
fn build() {
    let root = root();
    let cargo = std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let target = guest_target();
    let build = |packages: &[&str]| {
        let output = Command::new(&cargo)
            .current_dir(&root)
            .args([
                "build",
                "--quiet",
                "--locked",
                "--profile",
                "guest",
                "--target",
                "wasm32-wasip2",
            ])
            .args(packages)
            .arg("--target-dir")
            .arg(&target)
            // Coverage and lint settings of the test run are not for guests.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("cargo runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "guests do not build (rustup target add wasm32-wasip2?):\n{complaint}"
        );
    };
    build(&["-p", "bulkhead-test-guests", "--examples"]);
    build(&[
        "-p",
        "support",
        "-p",
        "chat",
        "-p",
        "tools",
        "-p",
        "guardrail",
        "--lib",
    ]);
}
