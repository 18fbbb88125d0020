//! Endpoints and the delivery log over HTTP: what is refused and how, what is shown and what never is.

use bulkhead::ledger::outbox::Topic;
use bulkhead_tests::client::send;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Endpoint, world};

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_made_seen_changed_and_deleted() {
    let (host, client, receiver) = world().await;
    let body = json!({ "url": receiver.url("/a"), "description": "ours", "events": ["agent_run.failed", "agent_run.failed"] });
    let made = client.post("/webhook-endpoints", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert!(
        made["signing_secret"]
            .as_str()
            .unwrap()
            .starts_with("whsec_")
    );
    assert_eq!(made["endpoint"]["events"], json!(["agent_run.failed"]));
    assert_eq!(made["endpoint"]["signature"], "standard");
    let id = made["endpoint"]["id"].as_str().unwrap();
    let path = format!("/webhook-endpoints/{id}");
    let seen = client.get(&path).await.json();
    assert_eq!(seen, made["endpoint"]);
    let request = client.request(Method::PATCH, &path);
    let changed = send(request.json(&json!({ "description": "theirs", "events": ["*"] })))
        .await
        .json();
    assert_eq!(
        (&changed["description"], &changed["events"]),
        (&json!("theirs"), &json!(["*"]))
    );
    assert_eq!(changed["url"], seen["url"]);
    let listed = client.get("/webhook-endpoints").await;
    assert_eq!(listed.json()["data"], json!([changed]));
    assert!(!listed.text.contains("whsec_"));
    let foreign = host.client("other").await;
    for path in [&path[..], &format!("{path}/deliveries")] {
        let theirs = foreign.get(path).await;
        assert_eq!(theirs.status, 404, "{}", theirs.text);
    }
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.delete(&path).await.status, 404);
    assert_eq!(client.get(&path).await.status, 404);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_twenty_first_is_refused_also_in_a_race() {
    let (host, client, receiver) = world().await;
    let body = json!({ "url": receiver.url("/"), "events": ["*"] });
    let all = (0..25).map(|_| client.post("/webhook-endpoints", &body));
    let answers = futures_util::future::join_all(all).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 20);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.refusal(), (409, "too_many_endpoints".to_owned()));
    }
    let foreign = host.client("other").await;
    assert_eq!(foreign.post("/webhook-endpoints", &body).await.status, 201);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_endpoints_are_refused_with_what_to_do() {
    let (host, client, receiver) = world().await;
    let url = receiver.url("/");
    let unknown = json!({ "url": url, "events": ["agent_run.started", "agent_run.exploded"] });
    let refused = client.post("/webhook-endpoints", &unknown).await;
    assert_eq!(refused.refusal(), (400, "unknown_event".to_owned()));
    let problem = refused.json();
    assert_eq!(problem["errors"][0]["pointer"], "/events/1");
    for topic in Topic::ALL {
        assert!(
            problem["detail"].as_str().unwrap().contains(topic.name()),
            "{topic:?}"
        );
    }
    for (body, status, pointer) in [
        (json!({ "url": url, "events": [] }), 422, Some("/events")),
        (
            json!({ "url": url, "events": ["*"], "description": "\u{7}" }),
            422,
            Some("/description"),
        ),
        (
            json!({ "url": url, "events": ["*"], "description": "d".repeat(513) }),
            422,
            Some("/description"),
        ),
        (
            json!({ "url": "not a url", "events": ["*"] }),
            422,
            Some("/url"),
        ),
        (
            json!({ "url": "ftp://example.com", "events": ["*"] }),
            422,
            Some("/url"),
        ),
        (
            json!({ "url": url, "events": ["*"], "secret": "mine" }),
            400,
            None,
        ),
        (
            json!({ "url": url, "events": ["*"], "signature": "none" }),
            400,
            None,
        ),
        (json!({ "url": url }), 400, None),
    ] {
        let refused = client.post("/webhook-endpoints", &body).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.text);
        if let Some(pointer) = pointer {
            assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}");
        }
    }
    assert_eq!(
        client.get("/webhook-endpoints").await.json()["data"],
        json!([])
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_names_every_event() {
    let (host, client, _receiver) = world().await;
    let catalogue = client.get("/webhook-events").await.json();
    let names: Vec<&str> = catalogue["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    let all: Vec<&str> = Topic::ALL.iter().map(|topic| topic.name()).collect();
    assert_eq!(names, all);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_delivery_log_has_pages_of_its_own() {
    let (host, client, receiver) = world().await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let other = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        host.clock().advance(super::seconds(1));
        sent.push(endpoint.test().await);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client
            .get(&endpoint.path(&format!("/deliveries?limit=2{cursor}")))
            .await
            .json();
        let events = page["data"].as_array().unwrap().iter();
        seen.extend(events.map(|delivery| delivery["event"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        // A cursor is good for its own list and filter only.
        for path in [
            other.path(&format!("/deliveries?limit=2{cursor}")),
            endpoint.path(&format!("/deliveries?limit=2&state=waiting{cursor}")),
        ] {
            assert_eq!(
                client.get(&path).await.refusal(),
                (400, "invalid_cursor".to_owned())
            );
        }
    }
    seen.reverse();
    assert_eq!(seen, sent);
    let waiting = client
        .get(&endpoint.path("/deliveries?state=waiting"))
        .await
        .json();
    assert_eq!(waiting["data"].as_array().unwrap().len(), 5);
    let bad = client.get(&endpoint.path("/deliveries?state=lost")).await;
    assert_eq!(bad.status, 400, "{}", bad.text);
    assert_eq!(
        endpoint.delivery(&sent[0]).await["last_attempt"],
        Value::Null
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_makes_one_endpoint_and_shows_its_secret_again() {
    let (host, client, receiver) = world().await;
    let body = json!({ "url": receiver.url("/"), "events": ["*"] });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = client.request(Method::POST, "/webhook-endpoints");
        answers.push(
            send(request.header("idempotency-key", "once").json(&body))
                .await
                .json(),
        );
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        client.get("/webhook-endpoints").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    host.stop().await;
}

/// The secret is in the answer that made it, and nowhere else that anybody can read.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shown_once_and_kept_sealed() {
    let (host, client, receiver) = world().await;
    let endpoint = Endpoint::make(&client, &receiver.url("/"), &["*"]).await;
    let rotated = endpoint.post("/rotate-secret", &json!({})).await.json();
    let new = rotated["signing_secret"].as_str().unwrap();
    let event = endpoint.test().await;
    host.run_jobs().await;
    endpoint.tried(&host, &event, 1).await;
    let mut sinks = vec![
        client.get("/webhook-endpoints").await.text,
        client.get(&endpoint.path("")).await.text,
        client.get(&endpoint.path("/deliveries")).await.text,
        reqwest::get(host.metrics_url())
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
    ];
    for table in [
        "webhook_endpoints",
        "webhook_deliveries",
        "outbox",
        "audit_entries",
    ] {
        let sql = format!("select coalesce(string_agg(t::text, E'\\n'), '') from {table} t");
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(host.db())
            .await
            .unwrap();
        sinks.push(text);
    }
    let got = receiver.got().remove(0);
    sinks.push(format!("{:?} {}", got.headers, got.json()));
    for secret in [&endpoint.secret[..], new] {
        let bare = secret.trim_start_matches("whsec_");
        let hex: String = bare.bytes().map(|byte| format!("{byte:02x}")).collect();
        for sink in &sinks {
            assert!(!sink.contains(bare) && !sink.contains(&hex), "{sink}");
        }
    }
    assert!(
        sinks.iter().any(|sink| sink.contains(&event)),
        "the search finds what is there"
    );
    host.stop().await;
}
