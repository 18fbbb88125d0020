//! The settings of a version: part of its component, so that other settings are another version, and read by its guests
//! without a journal.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bulkhead::agents::settings::SECTION;
use bulkhead::sandbox::sections;
use bulkhead_tests::client::text;
use bulkhead_tests::folder::Folder;
use bulkhead_tests::raw::{Import, Raw};
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};

use crate::cli::verbs::as_client;
use crate::guests::JOURNEY;
use crate::replay::{is_the_same, replay};

const AGENT: &str = "journey";
const TOLD: &str = "setting tone\nsay ;\nsettings\nsetting none";

fn set(settings: &Value) -> Vec<u8> {
    with(settings.to_string().as_bytes())
}

fn with(section: &[u8]) -> Vec<u8> {
    sections::with(&JOURNEY.bytes(), SECTION, section).unwrap()
}

async fn number(client: &Client, bytes: &[u8], status: u16) -> i64 {
    let answer = client.upload(AGENT, bytes).await;
    assert_eq!(answer.status, status, "{}", answer.text);
    answer.json()["number"].as_i64().unwrap()
}

/// A run on a version: its id and what it said.
async fn said(client: &Client, version: i64) -> (String, String) {
    let body = json!({ "input": TOLD, "version": version });
    let events = client.run(AGENT, &body).await;
    let run = events[0].data["run"].as_str().unwrap().to_owned();
    (run, text(&events))
}

#[tokio::test(flavor = "multi_thread")]
async fn other_settings_are_another_version_and_the_same_are_the_same() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let formal = json!({ "tone": "formal", "words": "süß \"x\"" });
    assert_eq!(number(&client, &JOURNEY.bytes(), 201).await, 1);
    assert_eq!(number(&client, &set(&formal), 201).await, 2);
    assert_eq!(
        number(&client, &set(&json!({ "tone": "rude" })), 201).await,
        3
    );
    assert_eq!(number(&client, &set(&formal), 200).await, 2);
    let shown = client.get("/agents/journey/versions/2").await.json();
    assert_eq!(shown["manifest"]["settings"], formal);
    let bare = client.get("/agents/journey/versions/1").await.json();
    assert_eq!(bare["manifest"].get("settings"), None);
    // They are no capability.
    client.deploy(AGENT, &JOURNEY.bytes()).await;
    let diff = client.get("/agents/journey/versions/3/diff").await.json();
    assert_eq!(diff["more"], json!([]));
    // Guests read them, on another host too, and nothing of it is a step.
    let other = host.join().await;
    let (run, first) = said(&client.at(&other.url()), 2).await;
    assert_eq!(first, "formal;tone=formal words=süß \"x\" ");
    let steps = client
        .get(&format!("/agents/{AGENT}/runs/{run}/steps"))
        .await
        .json();
    assert_eq!(steps["data"], json!([]));
    let (bare, nothing) = said(&client, 1).await;
    assert_eq!(nothing, ";");
    is_the_same(&client, AGENT, &run).await;
    is_the_same(&client, AGENT, &bare).await;
    // A replay on another version has the other's.
    let report = replay(&client, AGENT, &run, &json!({ "version": 3 }))
        .await
        .json();
    assert_eq!(report["replayed"]["output"], "rude;tone=rude ");
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_settings_is_refused_by_name() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let long = "x".repeat(4_097);
    let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("n{n}"), json!(""))).collect();
    for (section, told) in [
        (json!([]), "a JSON object of strings"),
        (json!({ "a": 1 }), "a JSON object of strings"),
        (json!({ "a": null }), "a JSON object of strings"),
        (json!({ "": "x" }), "a letter first"),
        (json!({ "9": "x" }), "/settings/9"),
        (json!({ "a": long }), "/settings/a"),
        (json!({ "a": "\u{0}" }), "without NUL"),
        (json!(many), "at most 64"),
        (
            json!({ "api_key": "abcdefgh12345678" }),
            "/settings/api_key",
        ),
        (
            json!({ "a": "Bearer abcdefghijklmnopqrstuvwxyz012345" }),
            "credential",
        ),
    ] {
        let answer = client.upload(AGENT, &set(&section)).await;
        let refusal = (422, "manifest_refused".to_owned());
        assert_eq!(answer.refusal(), refusal, "{section}");
        assert!(answer.text.contains(told), "{}", answer.text);
        assert!(!answer.text.contains("abcdefgh"), "{}", answer.text);
    }
    for section in [&b"{"[..], b"\xff\xff", b"", &vec![b' '; 3 << 20]] {
        let answer = client.upload(AGENT, &with(section)).await;
        assert_eq!(answer.refusal(), (422, "manifest_refused".to_owned()));
    }
    let twice = set(&json!({ "a": "x" }));
    let whole = [&twice[..], &twice[JOURNEY.bytes().len()..]].concat();
    let answer = client.upload(AGENT, &whole).await;
    assert_eq!(answer.refusal(), (422, "manifest_refused".to_owned()));
    assert!(answer.text.contains("several"), "{}", answer.text);
    let versions = client.get("/agents").await.json();
    assert_eq!(versions["data"], json!([]), "nothing was written");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_not_for_describe() {
    let host = TestHost::start().await;
    let raw = Raw {
        imports: &[Import::Settings],
        describe: "(call $setting (i32.const 2048) (i32.const 3) (i32.const 600)) (i32.const 1024)",
        ..Raw::default()
    };
    let answer = host.client("acme").await.upload("asks", &raw.bytes()).await;
    assert_eq!(answer.refusal(), (422, "describe_failed".to_owned()));
    assert!(
        answer.text.contains("`get` is not for `describe`"),
        "{}",
        answer.text
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_deploys_and_shows_them() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let folder = Folder::new();
    let file = folder.join("journey.wasm");
    std::fs::write(&file, JOURNEY.bytes()).unwrap();
    let file = file.to_str().unwrap();
    let deploy = async |settings: &[&str]| {
        let mut words = vec!["deploy", AGENT, file];
        for setting in settings {
            words.extend(["--setting", setting]);
        }
        crate::cli::program::ended(as_client(&client, &host.url(), &words)).await
    };
    let first = deploy(&["tone=formal", "length=a=b"]).await;
    assert_eq!(first.status, 0, "{first:?}");
    assert!(
        first.stdout.contains("length=a=b, tone=formal"),
        "{first:?}"
    );
    let again = deploy(&["length=a=b", "tone=formal"]).await;
    assert!(again.stdout.contains("known already"), "{again:?}");
    let shown = as_client(&client, &host.url(), &["versions", "show", AGENT, "1"]);
    let shown = crate::cli::program::ended(shown).await;
    assert!(
        shown.stdout.contains("length=a=b, tone=formal"),
        "{shown:?}"
    );
    for (setting, told) in [
        (&["tone"][..], "write name=value"),
        (&["a=1", "a=2"], "set twice"),
        (&["a b=1"], "a letter first"),
        (&["token=abcdefgh12345678"], "credential"),
    ] {
        let refused = deploy(setting).await;
        assert_ne!(refused.status, 0, "{setting:?}");
        assert!(refused.stderr.contains(told), "{refused:?}");
    }
    assert_eq!(said(&client, 1).await.1, "formal;length=a=b tone=formal ");
    host.stop().await;
}
