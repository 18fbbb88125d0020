//! I10: no secret leaves. One canary for each class of secret, searched in plain, base64, hex, URL and reversed form in
//! everything a client, an operator or a guest can read, with a planted control that must be found.

use base64::Engine as _;
use bulkhead::kit::Random;
use bulkhead::kit::secret::Seal;
use bulkhead_tests::guests::template;
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::receiver::{How, Receiver};
use bulkhead_tests::{Client, TestHost, logs};
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

/// A key of no known form: it is told by who holds it, not by how it looks.
const OTHER_KEY: &str = "canary4f1c9ab27e60d35518+zz/7";

/// A provider and a receiver that say what they were given, in every form; and whatever the host holds besides.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_holds_is_in_no_sink_in_any_form() {
    logs::keep();
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let provider = Provider::start().await;
    let receiver = Receiver::start().await;
    client.deploy("chat", &template("chat")).await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": OTHER_KEY, "default_model": "m",
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    let (id, webhook) = endpoint(&client, &receiver).await;
    let bare = webhook.trim_start_matches("whsec_").to_owned();
    let mut sinks = Vec::new();
    let echoes = forms(&webhook).into_iter().chain(forms(&bare));
    receiver.always(How::Saying(
        500,
        format!("{CONTROL} {}", echoes.collect::<Vec<_>>().join(" ")),
    ));
    for form in forms(OTHER_KEY)
        .into_iter()
        .chain([format!("Bearer {OTHER_KEY}")])
    {
        echoed(&client, &provider, &form, &mut sinks).await;
    }
    host.run_jobs().await;
    receiver.arrived(1).await;
    let deliveries = format!("/webhook-endpoints/{id}/deliveries");
    eventually("an attempt is recorded", async || {
        client.get(&deliveries).await.text.contains(CONTROL)
    })
    .await;
    everywhere(&host, &client, (&deliveries, &id), &mut sinks).await;
    for got in receiver.got() {
        sinks.push(("what a receiver is sent".to_owned(), format!("{got:?}")));
    }
    for request in provider.requests() {
        sinks.push((
            "what a provider is asked".to_owned(),
            request.body.to_string(),
        ));
    }
    tracing::info!(target: "bulkhead::planted", "{CONTROL}");
    sinks.push(("the log".to_owned(), logs::kept()));
    let found = leaks(&sinks, CONTROL);
    for control in [
        "event text",
        "table run_events",
        "GET deliveries",
        "GET run/steps",
        "a replay",
        "the log",
    ] {
        let known = found.iter().any(|name| name.starts_with(control));
        assert!(
            known,
            "the search finds what is there: {control}, {found:?}"
        );
    }
    for (name, secret) in held(&host, &client, &webhook).await {
        assert_eq!(leaks(&sinks, &secret), Vec::<String>::new(), "the {name}");
    }
    host.stop().await;
}

/// Somebody listens; what it is known by, and its secret.
async fn endpoint(client: &Client, receiver: &Receiver) -> (String, String) {
    let endpoint = json!({ "url": receiver.url("/hook"), "events": ["*"] });
    let made = client.post("/webhook-endpoints", &endpoint).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let text = |value: &serde_json::Value| value.as_str().expect("it is shown once").to_owned();
    (text(&made["endpoint"]["id"]), text(&made["signing_secret"]))
}

/// Runs whose provider says this: in an answer, in an error, and in what is no error of its kind.
async fn echoed(
    client: &Client,
    provider: &Provider,
    form: &str,
    sinks: &mut Vec<(String, String)>,
) {
    let half = form.len() / 2;
    provider.script(vec![
        Answer::pieces(&[CONTROL, " is ", &form[..half], &form[half..], " it"]),
        Answer::status(401, &json!({ "error": { "message": form } }).to_string()),
        Answer::status(401, form),
    ]);
    for _ in 0..3 {
        let events = client.stream("chat", &json!({ "input": "say it" })).await;
        let run = events.run();
        for event in events.rest().await {
            sinks.push((format!("event {} of {form}", event.kind), event.raw));
        }
        for path in ["", "/events", "/steps"] {
            let answer = client.get(&format!("/agents/chat/runs/{run}{path}")).await;
            sinks.push((format!("GET run{path}"), answer.text));
        }
        let path = format!("/agents/chat/runs/{run}/replay");
        let replayed = client.post(&path, &json!({})).await;
        sinks.push(("a replay".to_owned(), replayed.text));
    }
}

/// Everything that can be read of an organization, and the tables and files of its host.
async fn everywhere(
    host: &TestHost,
    client: &Client,
    (deliveries, endpoint): (&str, &str),
    sinks: &mut Vec<(String, String)>,
) {
    sinks.push((
        "GET deliveries".to_owned(),
        client.get(deliveries).await.text,
    ));
    for path in [
        &format!("/webhook-endpoints/{endpoint}"),
        "/webhook-endpoints",
        "/model-connections",
        "/model-connections/default",
        "/keys",
        "/agents",
        "/agents/chat",
        "/agents/chat/runs",
        "/audit/actions",
        "/audit/deliveries",
        "/audit/actions/export.csv",
        "/audit/deliveries/export.csv",
        "/audit/export.jsonl",
        "/usage",
        "/usage/export.csv",
        "/guardrails/violations",
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        sinks.push((format!("GET {path}"), answer.text));
    }
    let metrics = reqwest::get(host.metrics_url())
        .await
        .expect("metrics answer");
    sinks.push(("metrics".to_owned(), metrics.text().await.expect("text")));
    tables(host, sinks).await;
    for file in std::fs::read_dir(host.data())
        .expect("it is a folder")
        .flatten()
    {
        if file.path().is_file() {
            let bytes = std::fs::read(file.path()).expect("it is ours");
            let name = format!("file {}", file.file_name().to_string_lossy());
            sinks.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
}

/// Every secret of the host, as it holds it.
async fn held(host: &TestHost, client: &Client, webhook: &str) -> Vec<(&'static str, String)> {
    let sealed: Vec<Vec<u8>> = sqlx::query_scalar("select secret_sealed from audit_keys")
        .fetch_all(host.db())
        .await
        .expect("keys can be read");
    let seal = Seal::new(&bulkhead_tests::host::MASTER_KEY, Random::system());
    let seed = sealed
        .iter()
        .find_map(|sealed| seal.open(b"audit signing key", sealed).ok());
    let seed = seed.expect("the host has signed").expose().to_owned();
    let raw = hex::decode(&seed).expect("it is hexadecimal");
    let master = bulkhead_tests::host::MASTER_KEY;
    vec![
        ("model key", OTHER_KEY.to_owned()),
        ("API key", client.key.clone()),
        ("API key's secret", client.key[36..].to_owned()),
        ("webhook secret", webhook.to_owned()),
        (
            "webhook secret's bytes",
            webhook.trim_start_matches("whsec_").to_owned(),
        ),
        ("signing seed", seed),
        (
            "signing seed's bytes",
            base64::engine::general_purpose::STANDARD.encode(&raw),
        ),
        (
            "master key",
            String::from_utf8(master.to_vec()).expect("bytes below 128"),
        ),
        (
            "master key's digits",
            master.iter().map(|b| format!("{b:02x}")).collect(),
        ),
    ]
}
