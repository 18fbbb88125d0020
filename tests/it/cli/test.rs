//! `bulkhead test`: every Rust template passes its own tests at each level, what is not so is told with what was
//! expected, and a run that was recorded is a native test.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::{TestHost, database, guests};
use serde_json::{Value, json};
use tokio::process::Command;

use super::program::{Ended, built, command, run, server};
use super::verbs::as_client;

/// The templates that are built by cargo.
const RUST: [&str; 4] = ["chat", "guardrail", "support", "tools"];

/// `bulkhead test` on a database that is made for it, in the target folder that the harness builds in.
fn testing(words: &[&str], database_url: Option<&str>) -> Command {
    let mut test = command(&[&["test"], words].concat());
    test.env("CARGO_TARGET_DIR", guests::root().join("target"));
    if let Some(url) = database_url {
        test.env("DATABASE_URL", url);
    }
    test
}

async fn tested(project: &Path, more: &[&str]) -> Ended {
    let database = database::fresh().await;
    let project = project.to_str().unwrap();
    built(testing(&[&[project], more].concat(), Some(database.url()))).await
}

/// A project of a template in a folder.
async fn project(within: &Folder, name: &str, template: &str) -> PathBuf {
    let folder = within.join(name);
    let place = folder.to_str().unwrap();
    let made = run(&["init", name, "--template", template, "--dir", place]).await;
    assert_eq!(made.status, 0, "{made:?}");
    folder
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "figures are printed, not asserted")]
async fn each_rust_template_passes_at_every_level() {
    drop(guests::template("chat"));
    for template in RUST {
        let folder = guests::root().join("templates").join(template);
        let cases = std::fs::read_to_string(folder.join("tests/cases.toml")).unwrap();
        for round in ["first", "warm"] {
            let began = Instant::now();
            let ended = tested(&folder, &["--output", "json"]).await;
            assert_eq!(ended.status, 0, "{template}: {ended:?}");
            let report = ended.document();
            assert_eq!(report["agent"], *template);
            assert_eq!(
                report["passed"],
                cases.matches("[[case]]").count(),
                "{report}"
            );
            assert_eq!(
                (&report["failed"], &report["skipped"]),
                (&json!(0), &json!(0))
            );
            println!(
                "{template}, {round}: native tests {} ms, build {} ms, host ready {} ms, all {} ms",
                report["native_ms"],
                report["build_ms"],
                report["ready_ms"],
                began.elapsed().as_millis()
            );
            if template != "chat" {
                break;
            }
        }
    }
}

/// The same component, the same script, the same fuel.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_database_is_made_and_kept_and_nothing_is_left_running() {
    let folder = Folder::new();
    let project = project(&folder, "keeps", "chat").await;
    let place = project.to_str().unwrap();
    let mut fuel = Vec::new();
    for _ in 0..2 {
        let words = [
            place,
            "--skip-native",
            "--case",
            "calculates",
            "--output",
            "json",
        ];
        let ended = built(testing(&words, None)).await;
        assert_eq!(ended.status, 0, "{ended:?}");
        let case = ended.document()["cases"][0].clone();
        assert!(case["fuel"].as_i64().unwrap() > 100_000, "{case}");
        assert!(case["memory_peak_bytes"].as_i64().unwrap() > 0, "{case}");
        fuel.push(case["fuel"].clone());
        let data = guests::root().join("target/guests/wasm32-wasip2/guest/bulkhead-test/keeps");
        assert!(data.is_dir());
        assert_eq!(server(&data), None, "no process is left");
    }
    assert_eq!(fuel[0], fuel[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_so_is_told_with_what_was_expected() {
    let folder = Folder::new();
    let project = project(&folder, "teller", "chat").await;
    let code = project.join("src/lib.rs");
    // By the guardrails of every host.
    replace(
        &code,
        "#[agent(tools(current_time, calculate))]",
        "#[agent(tools(current_time, calculate), guardrails = [\"pii.redact\", \"max_tool_calls=1\"])]",
    );
    let cases = r#"
        [[case]]
        name = "is redacted"
        ask = "who?"
        model = ["Write to jane@example.com."]
        expect.lacks = ["jane"]

        [[case]]
        name = "is blocked"
        ask = "1+1? 2+2?"
        model = [{ calls = [
            { call = "calculate", arguments = { expression = "1+1" } },
            { call = "calculate", arguments = { expression = "2+2" } },
        ] }]
        expect.stop_reason = "blocked:max_tool_calls"

        [[case]]
        name = "says something else"
        ask = "hello?"
        model = ["Hello there.", "Never asked for."]
        expect.text = "Hello you."
        expect.contains = ["Ada"]
        expect.tools = ["calculate"]
        expect.cites = ["Limits"]
        expect.stop_reason = "max_tokens"
        expect.fuel_max = 1

        [[case]]
        name = "has no more to say"
        ask = "1+1?"
        model = [{ call = "calculate", arguments = { expression = "1+1" } }]
    "#;
    std::fs::write(project.join("tests/cases.toml"), cases).unwrap();
    let ended = tested(&project, &["--skip-native"]).await;
    assert_eq!(ended.status, 1, "{ended:?}");
    let said = &ended.stdout;
    for told in [
        "ok       is redacted · ",
        "ok       is blocked · ",
        "FAILED   says something else · ",
        "it ended as end_turn, not max_tokens",
        "- Hello you.\n",
        "+ Hello there.\n",
        "its text lacks \"Ada\"",
        "its tools\n",
        "it does not cite \"Limits\"; it cites nothing",
        "1 answers of the case's `model` were not asked for",
        " fuel, more than 1\n",
        "it ended as model_error, not end_turn",
        "the case has no answer for generation 2",
        "teller: 2 passed, 2 failed",
    ] {
        assert!(
            said.contains(told),
            "{told:?} is not in\n{said}\n{}",
            ended.stderr
        );
    }
    let json = tested(
        &project,
        &["--skip-native", "--case", "blocked", "--output", "json"],
    )
    .await;
    let report = json.document();
    assert_eq!((json.status, &report["passed"]), (0, &json!(1)), "{report}");
    assert_eq!(report["cases"][0]["result"], "passed");
    assert!(report.get("native_ms").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_run_is_a_native_test() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = host.client("acme").await;
    let connection =
        json!({ "kind": "openai", "base_url": provider.base_url(), "default_model": "scripted" });
    let put = client.put("/model-connections/default", &connection).await;
    assert_eq!(put.status, 201, "{}", put.text);
    client.deploy("tools", &guests::template("tools")).await;
    // A credential on its way through the run.
    let secret = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
    provider.script(vec![
        Answer::tool_calls(&[("c1", "put", r#"{"name": "Egg", "amount": 6}"#)]),
        Answer::tool_calls(&[("c2", "show", "{}")]),
        Answer::text(&format!("There are 6 eggs on your list. {secret}")),
    ]);
    let asked = json!({ "input": format!("six eggs, please; my key is {secret}") });
    let ran = client.start("tools", &asked).await;
    let folder = Folder::new();
    let fixture = folder.join("list.json");
    let words = [
        "runs",
        "export",
        "tools",
        &ran,
        "--to",
        fixture.to_str().unwrap(),
    ];
    bulkhead_tests::host::eventually("the run has ended", async || {
        client.show("tools", &ran).await["ended_at"].is_string()
    })
    .await;
    let exported = built(as_client(&client, &host.url(), &words)).await;
    assert_eq!(exported.status, 0, "{exported:?}");
    let text = std::fs::read_to_string(&fixture).unwrap();
    assert!(
        !text.contains("ghp_") && text.contains("[secret]"),
        "{text}"
    );
    let recorded: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&recorded["bulkhead_recording"], &recorded["run"]),
        (&json!(1), &json!(ran))
    );
    assert!(
        !text.contains("scripted") && !text.contains("\"connection\""),
        "{text}"
    );
    // What is there is not lost, and an unknown run is one clear answer.
    let again = built(as_client(&client, &host.url(), &words)).await;
    assert!(again.refusal(1).contains("is there already"), "{again:?}");
    let unknown = format!("run_{:032x}", 7);
    let words = ["runs", "export", "tools", &unknown];
    let unknown = built(as_client(&client, &host.url(), &words)).await;
    assert!(unknown.refusal(1).contains("[not_found, "), "{unknown:?}");
    host.stop().await;

    let project = project(&folder, "recorder", "tools").await;
    let keep = || std::fs::copy(&fixture, project.join("tests/fixtures/list.json")).unwrap();
    keep();
    let passed = tested(&project, &["--case", "shows it", "--output", "json"]).await;
    assert_eq!(passed.status, 0, "{passed:?}");
    assert!(passed.document()["native_ms"].as_u64().unwrap() > 0);
    replace(
        &project.join("src/lib.rs"),
        "Say in one sentence",
        "Say in ten sentences",
    );
    let failed = tested(&project, &["--output", "json"]).await;
    assert_eq!(
        (failed.status, failed.stdout.as_str()),
        (1, ""),
        "{failed:?}"
    );
    for told in [
        "the agent does not do what tests/fixtures/list.json recorded",
        "- - Say in one sentence what you changed.",
        "+ - Say in ten sentences what you changed.",
        "native_tests_failed",
    ] {
        assert!(
            failed.stderr.contains(told),
            "{told:?} is not in {}",
            failed.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_runs_is_asked_the_same() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("support", &guests::template("support")).await;
    let entry =
        json!({ "title": "Cancelling a run", "content": "To stop a run, use `bulkhead cancel`." });
    assert_eq!(client.post("/knowledge/entries", &entry).await.status, 201);
    let words = [
        "test",
        "templates/support",
        "--live",
        "support",
        "--output",
        "json",
    ];
    let ended = built(as_client(&client, &host.url(), &words)).await;
    assert_eq!(ended.status, 0, "{ended:?}");
    let report = ended.document();
    assert_eq!(
        (&report["passed"], &report["skipped"]),
        (&json!(1), &json!(2)),
        "{report}"
    );
    assert_eq!(report["cases"][1]["why"], json!(["its model is scripted"]));
    let nobody = [
        "test",
        "templates/support",
        "--live",
        "nobody",
        "--case",
        "handbook",
    ];
    let failed = built(as_client(&client, &host.url(), &nobody)).await;
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!(
        failed.stdout.contains("it ended as not_found"),
        "{failed:?}"
    );
    host.stop().await;
}

#[tokio::test]
async fn what_cannot_be_tested_is_one_clear_answer() {
    let folder = Folder::new();
    let place = folder.to_str().unwrap();
    let nowhere = folder.join("nowhere");
    let none = run(&["test", nowhere.to_str().unwrap()]).await;
    assert!(none.refusal(2).contains("name a project's"), "{none:?}");
    std::fs::create_dir(folder.join("tests")).unwrap();
    let cases = folder.join("tests/cases.toml");
    std::fs::write(&cases, "[[case]]\nname = \"x\"\nasks = \"y\"\n").unwrap();
    let bad = run(&["test", place]).await;
    assert!(bad.refusal(1).contains("asks"), "{bad:?}");
    std::fs::write(&cases, "[[case]]\nname = \"one\"\nask = \"y\"\n").unwrap();
    let other = run(&["test", place, "--case", "two"]).await;
    assert!(other.refusal(1).contains("they are one"), "{other:?}");
    let unnamed = run(&["test", place, "--cases", "/nowhere.toml"]).await;
    assert!(unnamed.refusal(1).contains("is not there"), "{unnamed:?}");
    let empty = run(&["test", place]).await;
    assert_eq!(empty.status, 1, "there is nothing to build: {empty:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_are_no_component() {
    let folder = Folder::new();
    let project = project(&folder, "both", "chat").await;
    let code = project.join("src/lib.rs");
    let second = "/// Says nothing.\n#[agent]\npub fn other(_: Turn) -> Result<Outcome> {\n    Ok(Outcome::EndTurn)\n}\n\n#[cfg(test)]";
    replace(&code, "#[cfg(test)]", second);
    let ended = tested(&project, &["--skip-native"]).await;
    assert_eq!(ended.status, 1, "{ended:?}");
    for told in [
        "A_COMPONENT_IS_ONE_AGENT_OR_ONE_GUARDRAIL",
        "does not build",
    ] {
        assert!(
            ended.stderr.contains(told),
            "{told} is not in {}",
            ended.stderr
        );
    }
}
