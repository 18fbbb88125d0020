//! `init`: a project of each template builds, deploys and answers under its own name; what is refused leaves nothing.

use std::path::Path;

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::folder::Folder;
use bulkhead_tests::guests;
use serde_json::json;

use super::program::{built, command, ended, run};
use super::verbs::as_client;
use crate::guardrails::guarded;

const TEMPLATES: [&str; 6] = [
    "chat",
    "guardrail",
    "js-chat",
    "py-chat",
    "support",
    "tools",
];

/// Runs `init` in a folder.
pub(crate) async fn init(within: &Path, words: &[&str]) -> super::program::Ended {
    let mut program = command(&[&["init"], words].concat());
    program.current_dir(within);
    ended(program).await
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn templates_are_listed() {
    let listed = run(&["init", "--list", "--output", "json"]).await;
    assert_eq!(listed.status, 0, "{listed:?}");
    let all = listed.document()["data"].as_array().unwrap().clone();
    let names: Vec<_> = all.iter().map(|each| each["name"].clone()).collect();
    assert_eq!(names, TEMPLATES);
    for each in &all {
        let line = each["description"].as_str().unwrap();
        assert!(line.ends_with('.') && !line.contains('\n'), "{each}");
    }
    let table = run(&["init", "--list"]).await;
    assert_eq!(table.stdout.lines().count(), 1 + TEMPLATES.len());
}

/// What a script imports has the version of the contract that its project gets.
#[test]
fn templates_speak_of_this_hosts_contract() {
    let script = guests::root().join("templates/js-chat/src/agent.js");
    let script = std::fs::read_to_string(script).unwrap();
    let versions: Vec<_> = script.split("bulkhead:agent/").skip(1).collect();
    assert!(!versions.is_empty());
    for import in versions {
        let version = import.split(['@', '\'']).nth(1).unwrap();
        assert_eq!(version, bulkhead::sandbox::component::CONTRACT, "{import}");
    }
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let folder = Folder::new();
    let unknown = init(&folder, &["greeter", "--template", "suport"]).await;
    let line = unknown.refusal(1);
    for name in TEMPLATES {
        assert!(line.contains(name), "{line}");
    }
    for name in ["Greeter", "../greeter", "", "self", "a/b", "9lives"] {
        let refused = init(&folder, &[name]).await;
        let line = refused.refusal(1);
        assert!(line.contains("as in `"), "{line}");
    }
    assert_eq!(names(&folder), Vec::<String>::new());

    std::fs::create_dir(folder.join("mine")).unwrap();
    std::fs::write(folder.join("mine/notes.txt"), "keep me").unwrap();
    for words in [&["mine"][..], &["other", "--dir", "mine"]] {
        let refused = init(&folder, words).await;
        assert!(refused.refusal(1).contains("--dir"), "{refused:?}");
    }
    std::fs::write(folder.join("file"), "").unwrap();
    init(&folder, &["file"]).await.refusal(1);
    assert_eq!(names(&folder), ["file", "mine"]);
    assert_eq!(names(&folder.join("mine")), ["notes.txt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_of_each_template_builds_deploys_and_answers() {
    // What they share is built by the harness, in the folder they build in too.
    drop(guests::template("chat"));
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let folder = Folder::new();
    // Those in other languages have a test of their own: `languages`.
    let in_rust = TEMPLATES.map(|name| {
        (
            name,
            guests::root()
                .join("templates")
                .join(name)
                .join("Cargo.toml"),
        )
    });
    for (template, _) in in_rust.iter().filter(|(_, manifest)| manifest.is_file()) {
        let name = format!("my-{template}");
        let made = init(
            &folder,
            &[&name, "--template", template, "--output", "json"],
        )
        .await;
        assert_eq!(made.status, 0, "{made:?}");
        assert_eq!(made.document()["agent"], name);
        let project = folder.join(&name);
        let words = [
            "deploy",
            &name,
            project.to_str().unwrap(),
            "--output",
            "json",
        ];
        let mut deploy = as_client(&client, &host.url(), &words);
        deploy.env("CARGO_TARGET_DIR", guests::root().join("target"));
        let deployed = built(deploy).await;
        assert_eq!(deployed.status, 0, "{deployed:?}");
        let code = std::fs::read_to_string(project.join("src/lib.rs")).unwrap();
        let identifier = name.replace('-', "_");
        assert!(code.contains(&format!("pub fn {identifier}(")), "{code}");
        let readme = std::fs::read_to_string(project.join("README.md")).unwrap();
        assert!(readme.starts_with(&format!("# {name}\n")), "{readme}");
        for own in [format!(" {template} "), format!("component={template}`")] {
            assert!(!readme.contains(&own), "{own:?} is left in {readme}");
        }
        if *template != "guardrail" {
            let manifest = &deployed.document()["manifest"];
            assert_eq!(manifest["name"], name);
            let events = client
                .run(&name, &json!({ "input": "how do i stop a run??" }))
                .await;
            assert_eq!(stop_reason(&events), "end_turn", "{events:?}");
            assert!(!text(&events).is_empty());
        }
    }
    assert_eq!(
        names(&folder),
        ["my-chat", "my-guardrail", "my-support", "my-tools"]
    );

    let judged = guarded(
        &host,
        "echo",
        &crate::guests::ECHO,
        &["component=my-guardrail"],
    )
    .await;
    let events = judged
        .run("echo", &json!({ "input": "Ask about Halcyon." }))
        .await;
    assert_eq!(text(&events), "Ask about [project].");
}
