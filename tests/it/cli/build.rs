//! `build`: what it says of a component, and the one command that it names where a toolchain is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::guests;
use serde_json::Value;

use super::init::{init, names};
use super::program::{Ended, built, command, ended};

/// Builds with nothing on the PATH but what is in this folder.
async fn build_with(path: &Path, project: &Path) -> Ended {
    let mut build = command(&["build", project.to_str().unwrap(), "--output", "json"]);
    build.env("PATH", path);
    ended(build).await
}

/// What was refused, in one line: the last.
fn refusal(ended: &Ended) -> (String, String) {
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""), "{ended:?}");
    let line = ended.stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{ended:?}"));
    let word = |field: &str| error["error"][field].as_str().unwrap().to_owned();
    (word("code"), word("detail"))
}

#[tokio::test]
async fn a_component_is_built_and_described() {
    // What projects share is built by the harness, in the folder they build in too.
    drop(guests::template("chat"));
    let folder = Folder::new();
    assert_eq!(
        init(&folder, &["greeter", "--template", "chat"])
            .await
            .status,
        0
    );
    let project = folder.join("greeter");
    let mut build = command(&["build", "--output", "json"]);
    build
        .current_dir(&project)
        .env("CARGO_TARGET_DIR", guests::root().join("target"));
    let done = built(build).await;
    assert_eq!(done.status, 0, "{done:?}");
    let document = done.document();
    assert_eq!(document["agent"], "greeter");
    let wasm = fs::read(project.join(document["component"].as_str().unwrap())).unwrap();
    assert_eq!(document["size_bytes"], wasm.len());
    let imports = document["imports"].as_array().unwrap();
    assert!(imports.iter().any(|import| {
        import
            .as_str()
            .unwrap()
            .starts_with("bulkhead:agent/model@")
    }));
}

#[tokio::test]
async fn a_missing_toolchain_is_one_command() {
    let (folder, empty) = (Folder::new(), Folder::new());
    let cases = [
        (
            "support",
            "no_rust",
            "sh.rustup.rs | sh -s -- -t wasm32-wasip2`",
        ),
        ("js-chat", "no_node", "nvm install 22`"),
        ("py-chat", "no_python", "install"),
    ];
    for (template, code, named) in cases {
        assert_eq!(
            init(&folder, &[template, "--template", template])
                .await
                .status,
            0
        );
        let project = folder.join(template);
        let before = names(&project);
        let (told, detail) = refusal(&build_with(&empty, &project).await);
        assert_eq!(told, code, "{detail}");
        assert!(detail.contains(named), "{detail}");
        assert_eq!(
            detail.matches('`').count(),
            4,
            "the program and one command: {detail}"
        );
        let after = names(&project);
        assert_eq!(after, before, "{template}: something was left");
    }
}

/// A program that is a line of shell.
fn script(within: &Path, name: &str, line: &str) {
    let path = within.join(name);
    fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "cargo names itself to its tests")]
async fn what_a_toolchain_lacks_is_one_command() {
    let (folder, path) = (Folder::new(), Folder::new());
    for (name, template) in [("rusty", "support"), ("snake", "py-chat")] {
        assert_eq!(
            init(&folder, &[name, "--template", template]).await.status,
            0
        );
    }
    // A Rust without the wasm target, and no rustup that could add it.
    let cargo = std::env::var_os("CARGO").unwrap().into_string().unwrap();
    script(&path, "cargo", &format!("exec {cargo} \"$@\""));
    script(&path, "rustc", &format!("echo {}", path.display()));
    let rusty = folder.join("rusty");
    let (code, detail) = refusal(&build_with(&path, &rusty).await);
    assert_eq!(code, "no_wasm_target", "{detail}");
    assert!(detail.ends_with("| sh -s -- -t wasm32-wasip2`"), "{detail}");
    script(&path, "rustup", "exit 1");
    let (code, detail) = refusal(&build_with(&path, &rusty).await);
    assert_eq!(code, "no_wasm_target", "{detail}");
    assert!(
        detail.ends_with("run `rustup target add wasm32-wasip2`"),
        "{detail}"
    );
    // A Python without virtual environments.
    script(&path, "python3", "exit 1");
    let (code, detail) = refusal(&build_with(&path, &folder.join("snake")).await);
    assert_eq!(code, "no_python", "{detail}");
    assert!(detail.contains("virtual environment"), "{detail}");
}

#[tokio::test]
async fn what_is_no_project_says_what_it_lacks() {
    let (folder, path) = (Folder::new(), Folder::new());
    script(&path, "npm", "mkdir -p node_modules");
    let build = async |file: &str, content: &str| {
        let project = folder.join("project");
        let _ = fs::remove_dir_all(&project);
        fs::create_dir(&project).unwrap();
        fs::write(project.join(file), content).unwrap();
        let mut build = command(&["build", project.to_str().unwrap(), "--output", "json"]);
        build.env("PATH", format!("{}:/usr/bin:/bin", path.display()));
        refusal(&ended(build).await)
    };
    let is = |(code, detail): (String, String), expected: &str, named: &str| {
        assert_eq!(code, expected, "{detail}");
        assert!(detail.contains(named), "{detail}");
    };
    is(build("notes.txt", "").await, "no_crate", "package.json");
    is(
        build("package.json", "{\"name\": \"a\"}").await,
        "no_crate",
        "bulkhead",
    );
    is(
        build("package.json", "{").await,
        "bad_project",
        "package.json",
    );
    is(
        build("pyproject.toml", "[project]\n").await,
        "no_crate",
        "tool.bulkhead",
    );
    is(
        build("pyproject.toml", "[tool.bulkhead]\n").await,
        "bad_project",
        "name",
    );
    // A build that says it worked and made nothing.
    let package = "{\"name\": \"a\", \"bulkhead\": {\"component\": \"build/a.wasm\"}}";
    is(
        build("package.json", package).await,
        "build_failed",
        "makes no",
    );
    script(&path, "npm", "mkdir -p node_modules; [ $1 != run ]");
    is(
        build("package.json", package).await,
        "build_failed",
        "npm run build",
    );
    script(&path, "npm", "exit 1");
    is(
        build("package.json", package).await,
        "build_failed",
        "installed",
    );
    // What it makes is no agent.
    script(
        &path,
        "npm",
        "mkdir -p node_modules build; printf '\\0asm\\1\\0\\0\\0' >build/a.wasm",
    );
    is(
        build("package.json", package).await,
        "component_refused",
        "core module",
    );
}
