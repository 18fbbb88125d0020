//! Every limit of a run, given to one version where the host gives plenty: it binds, and the end names it. And what an
//! organization has binds what it uploads.

use bulkhead_tests::TestHost;
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::raw::{Import, Raw};
use serde_json::{Value, json};

use super::{SPIN, deploy, ends};
use crate::guests;

/// A limit, what a version is given of it, a guest that reaches it, and how that ends.
type Row = (
    &'static str,
    u64,
    Raw<'static>,
    (&'static str, &'static str, &'static str),
);

const FINE: (&str, &str, &str) = ("end_turn", "", "");

fn with(imports: &'static [Import], run: &'static str) -> Raw<'static> {
    Raw {
        imports,
        run,
        ..Raw::default()
    }
}

fn of(fields: &'static str) -> Raw<'static> {
    Raw {
        fields,
        ..Raw::default()
    }
}

/// What a component brings is looked at when it is instantiated.
fn brought() -> Vec<Row> {
    let limit = |reason, what| (reason, "limit", what);
    vec![
        (
            "core_instances",
            1,
            Raw::default(),
            limit("core_instances", "(`core_instances`)"),
        ),
        (
            "memories",
            1,
            of("(memory 1)"),
            limit("memories", "(`memories`)"),
        ),
        (
            "tables",
            1,
            of("(table 1 funcref) (table 1 funcref)"),
            limit("tables", "(`tables`)"),
        ),
        (
            "table_elements",
            9,
            of("(table 10 funcref)"),
            limit("table_elements", "(`table_elements`)"),
        ),
        (
            "memory_bytes",
            200_000,
            Raw::default(),
            limit("memory", "(`memory_bytes`)"),
        ),
    ]
}

fn used() -> Vec<Row> {
    const GROW: &str = "(if (i32.eq (memory.grow (i32.const 9)) (i32.const -1)) (then unreachable)) (i32.const 512)";
    const TICK: &str = "(loop $again (drop (call $now)) (br $again)) (i32.const 512)";
    const SAY: &str = "(call $text (i32.const 4096) (i32.const 3000)) (i32.const 512)";
    const SAY_ON: &str =
        "(loop $again (call $text (i32.const 4096) (i32.const 900)) (br $again)) (i32.const 512)";
    const LEAK: &str = "(loop $again (drop (call $in (i64.const 1))) (br $again)) (i32.const 512)";
    const CHANCE: &str = "(call $random (i64.const 65) (i32.const 600)) (i32.const 512)";
    let limit = |reason, what| (reason, "limit", what);
    vec![
        ("fuel", 90_000, with(&[], SPIN), limit("fuel", "(`fuel`)")),
        (
            "memory_bytes",
            400_000,
            with(&[], GROW),
            limit("memory", "(`memory_bytes`)"),
        ),
        (
            "host_calls",
            9,
            with(&[Import::Clock], TICK),
            limit("host_calls", "(`host_calls`)"),
        ),
        (
            "crossing_bytes_per_call",
            2_000,
            with(&[Import::Output], SAY),
            limit("crossing", "(`crossing_bytes_per_call`)"),
        ),
        (
            "crossing_bytes_per_run",
            2_000,
            with(&[Import::Output], SAY_ON),
            limit("crossing", "(`crossing_bytes_per_run`)"),
        ),
        (
            "output_bytes",
            2_000,
            with(&[Import::Output], SAY_ON),
            limit("output", "(`output_bytes`)"),
        ),
        (
            "handles",
            9,
            with(&[Import::WasiClock], LEAK),
            limit("handles", "(`handles`)"),
        ),
        (
            "random_bytes_per_call",
            64,
            with(&[Import::Random], CHANCE),
            ("trap", "guest", "(`random_bytes_per_call`)"),
        ),
    ]
}

async fn give(host: &TestHost, agent: &str, limit: &str, value: u64) {
    let path = format!("/agents/{agent}/versions/1/limits");
    let put = host
        .client("acme")
        .await
        .put(&path, &json!({ limit: value }))
        .await;
    assert_eq!(put.status, 200, "{}", put.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_binds_the_version_it_was_given_to() {
    let host = TestHost::start().await;
    for (limit, value, raw, end) in [brought(), used()].concat() {
        let agent = format!("{}-{value}", limit.replace('_', "-"));
        deploy(&host, &agent, raw).await;
        give(&host, &agent, limit, value).await;
        let run = ends(&host, &agent, &json!({ "input": "x" }), end).await;
        let bound = json!({ "value": value, "source": "version" });
        assert_eq!(run["limits"][limit], bound, "{agent}");
        assert_eq!(
            run["limits"]["tables"]["source"],
            if limit == "tables" { "version" } else { "host" }
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_and_words_are_a_versions_too() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let body = json!({ "input": "3600000" });
    // Loaded once, so that the short life is the guest's own.
    let short = json!({ "input": "1" });
    ends(&host, "sleep", &short, FINE).await;
    give(&host, "sleep", "wall_ms", 300).await;
    let run = ends(
        &host,
        "sleep",
        &body,
        ("deadline", "limit", "the run's time was up"),
    )
    .await;
    assert_eq!(
        run["limits"]["wall_ms"],
        json!({ "value": 300, "source": "version" })
    );
    let asked = json!({ "input": "3600000", "deadline_ms": 200, "max_fuel": 1_000_000 });
    let run = ends(
        &host,
        "sleep",
        &asked,
        ("deadline", "limit", "the run's time was up"),
    )
    .await;
    assert_eq!(
        run["limits"]["wall_ms"],
        json!({ "value": 200, "source": "run" })
    );
    assert_eq!(
        run["limits"]["fuel"],
        json!({ "value": 1_000_000, "source": "run" })
    );

    let say = "(local.set $n (call $stdout))
        (call $write (local.get $n) (i32.const 4096) (i32.const 1000) (i32.const 600)) (i32.const 512)";
    deploy(&host, "words", with(&[Import::Stdout], say)).await;
    give(&host, "words", "log_bytes_per_stream", 300).await;
    let run = ends(&host, "words", &json!({ "input": "x" }), FINE).await;
    let kept = run["guest_log"]["stdout"]["text"].as_str().unwrap().len();
    assert!(kept <= 300, "{kept} bytes kept");
    let listed = host
        .client("acme")
        .await
        .get("/agents/words/runs")
        .await
        .json();
    assert_eq!(listed["data"][0].get("limits"), None, "not in lists");
}

/// Searches, and says as many letters as there are hits.
const SEARCH: &str = r#"(i32.store (i32.const 4096) (i32.const 0x616574))
    (memory.fill (i32.const 8192) (i32.const 97) (i32.const 100))
    (call $search (i32.const 4096) (i32.const 3) (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 600))
    (call $text (i32.const 8192) (i32.load (i32.const 608)))
    (i32.const 512)"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_answers_is_bounded() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    for name in ["black", "green", "white"] {
        let content = format!("{name} tea {}", "is steeped in hot water ".repeat(20));
        let entry = json!({ "source": name, "title": name, "content": content });
        let put = client.post("/knowledge/entries", &entry).await;
        assert_eq!(put.status, 201, "{}", put.text);
    }
    let search = with(&[Import::Knowledge, Import::Output], SEARCH);
    deploy(&host, "search", search).await;
    let hits =
        async || ends(&host, "search", &json!({ "input": "x" }), FINE).await["output"].clone();
    assert_eq!(hits().await, "aaa");
    give(&host, "search", "answer_bytes", 1_100).await;
    assert_eq!(hits().await, "aa", "the best that fit");

    let provider = Provider::start().await;
    let connection =
        json!({ "kind": "openai", "base_url": provider.base_url(), "default_model": "scripted" });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    host.deploy("acme", "generate", &guests::GENERATE).await;
    let long = "a".repeat(1_000);
    provider.script(vec![
        Answer::pieces(&[&long]),
        Answer::pieces(&["short, ", &long]),
    ]);
    let said = ends(&host, "generate", &json!({ "input": "x" }), FINE).await;
    assert_eq!(said["output"], long);
    give(&host, "generate", "answer_bytes", 900).await;
    let large = (
        "crossing",
        "limit",
        "the host's answer had more bytes than one answer may (`answer_bytes`)",
    );
    let cut = ends(&host, "generate", &json!({ "input": "x" }), large).await;
    assert_eq!(cut["output"], "short, ", "what fitted stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_uploads_within_its_limits() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    for (limit, value, raw, (_, _, what)) in brought() {
        let put = client.put("/limits", &json!({ limit: value })).await;
        assert_eq!(put.status, 200, "{}", put.text);
        let refused = client.upload("never", &raw.bytes()).await;
        assert_eq!(
            refused.refusal(),
            (422, "describe_failed".to_owned()),
            "{}",
            refused.text
        );
        assert!(
            refused.text.contains(what),
            "it says {what}: {}",
            refused.text
        );
        assert_eq!(client.get("/agents/never").await.status, 404);
        host.client("globex")
            .await
            .deploy("taken", &raw.bytes())
            .await;
    }
    let reset: Value = json!({});
    assert_eq!(client.put("/limits", &reset).await.status, 200);
    client.deploy("taken", &Raw::default().bytes()).await;
}
