//! I10: no secret leaves. One canary for each class of secret, searched in plain, base64, hex, URL and reversed form in
//! everything a client, an operator or a guest can read, with a planted control that must be found.

use base64::Engine as _;
use bulkhead_tests::TestHost;
use bulkhead_tests::guests::template;
use bulkhead_tests::provider::{Answer, Provider};
use serde_json::json;

const MODEL_KEY: &str = "sk-canary-4f1c9ab27e60d35518";
const CONTROL: &str = "control-canary-77b0f2";

pub(crate) fn forms(secret: &str) -> Vec<String> {
    let url: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    vec![
        secret.to_owned(),
        base64::engine::general_purpose::STANDARD.encode(secret),
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret),
        hex(secret),
        url,
        secret.chars().rev().collect(),
    ]
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn leaks(sinks: &[(String, String)], secret: &str) -> Vec<String> {
    let forms = forms(secret);
    let found = sinks
        .iter()
        .filter(|(_, text)| forms.iter().any(|form| text.contains(form)));
    found.map(|(name, _)| name.clone()).collect()
}

/// Every row of every table, as text; what is sealed or hashed is in here too, and must not be readable.
async fn tables(host: &TestHost, sinks: &mut Vec<(String, String)>) {
    let names: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'public'",
    )
    .fetch_all(host.db())
    .await
    .expect("the catalogue");
    for name in names {
        let sql = format!("select coalesce(string_agg(t::text, E'\\n'), '') from \"{name}\" t");
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(host.db())
            .await
            .expect("a table");
        sinks.push((format!("table {name}"), text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_sink() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let provider = Provider::start().await;
    client.deploy("chat", &template("chat")).await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": MODEL_KEY, "default_model": "m",
    });
    let put = client.put("/model-connections/default", &connection).await;
    // A provider that throws the key back at its caller is the worst case.
    provider.script(vec![
        Answer::text(&format!("said {CONTROL}")),
        Answer::status(
            401,
            &format!("{{\"error\":{{\"message\":\"bad key {MODEL_KEY}\"}}}}"),
        ),
    ]);
    let mut sinks = vec![("put connection".to_owned(), put.text)];
    for question in ["first", "second"] {
        let events = client.stream("chat", &json!({ "input": question })).await;
        let run = events.run();
        for event in events.rest().await {
            sinks.push((format!("event {} of {question}", event.id), event.raw));
        }
        for path in ["", "/events", "/steps"] {
            let answer = client.get(&format!("/agents/chat/runs/{run}{path}")).await;
            sinks.push((format!("GET run{path} of {question}"), answer.text));
        }
    }
    for path in [
        "/model-connections",
        "/model-connections/default",
        "/keys",
        "/agents",
        "/agents/chat/runs",
    ] {
        sinks.push((format!("GET {path}"), client.get(path).await.text));
    }
    let metrics = reqwest::get(host.metrics_url())
        .await
        .expect("metrics answer");
    sinks.push(("metrics".to_owned(), metrics.text().await.expect("text")));
    tables(&host, &mut sinks).await;

    assert!(
        !leaks(&sinks, CONTROL).is_empty(),
        "the search finds what is there"
    );
    assert_eq!(
        provider.requests().len(),
        2,
        "the provider was given the key, and only it"
    );
    let master =
        String::from_utf8(bulkhead_tests::host::MASTER_KEY.to_vec()).expect("bytes below 128");
    // A key is `bh_`, 32 digits, `_` and its secret.
    let secrets = [MODEL_KEY, &client.key, &client.key[36..], &master];
    for (name, secret) in ["model key", "API key", "API key's secret", "master key"]
        .into_iter()
        .zip(secrets)
    {
        assert_eq!(leaks(&sinks, secret), Vec::<String>::new(), "the {name}");
    }
}
