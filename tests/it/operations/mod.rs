//! Every operation of the API: who may call it, and what a good request is. An operation that is not in this table
//! fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod audited;
mod bad;

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_tests::client::{Answer, send};
use bulkhead_tests::{Client, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

use crate::billing::stripe::{SECRET, charge, signature};
use crate::guests;
use crate::http::assert_problem;

/// Method, path, the scope it takes (none where it is public), and a good body.
type Operation = (&'static str, &'static str, &'static str, &'static str);

const OPERATIONS: &[Operation] = &[
    ("GET", "/livez", "", ""),
    ("GET", "/readyz", "", ""),
    ("GET", "/openapi.json", "", ""),
    ("GET", "/v1/orgs/{org}/keys", "admin", ""),
    (
        "POST",
        "/v1/orgs/{org}/keys",
        "admin",
        r#"{"name":"n","scopes":["read"],"expires_at":"2030-01-01T00:00:00Z"}"#,
    ),
    ("DELETE", "/v1/orgs/{org}/keys/{key}", "admin", ""),
    ("GET", "/v1/orgs/{org}/audit/keys", "read", ""),
    ("GET", "/v1/orgs/{org}/audit/export.jsonl", "read", ""),
    ("GET", "/v1/orgs/{org}/audit/{source}", "read", ""),
    (
        "GET",
        "/v1/orgs/{org}/audit/{source}/export.csv",
        "read",
        "",
    ),
    ("GET", "/v1/orgs/{org}/agents", "read", ""),
    ("GET", "/v1/orgs/{org}/agents/{agent}", "read", ""),
    ("GET", "/v1/orgs/{org}/agents/{agent}/versions", "read", ""),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/versions",
        "deploy",
        "wasm",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/versions/{version}",
        "read",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/versions/{version}/diff",
        "read",
        "",
    ),
    (
        "PATCH",
        "/v1/orgs/{org}/agents/{agent}/versions/{version}",
        "deploy",
        r#"{"label":"v1.0"}"#,
    ),
    (
        "DELETE",
        "/v1/orgs/{org}/agents/{agent}/versions/{version}",
        "deploy",
        "",
    ),
    ("GET", "/v1/orgs/{org}/publisher-keys", "read", ""),
    (
        "POST",
        "/v1/orgs/{org}/publisher-keys",
        "admin",
        r#"{"name":"n","public_key":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"}"#,
    ),
    (
        "DELETE",
        "/v1/orgs/{org}/publisher-keys/{publisher}",
        "admin",
        "",
    ),
    ("GET", "/v1/orgs/{org}/signature-policy", "read", ""),
    (
        "PUT",
        "/v1/orgs/{org}/signature-policy",
        "admin",
        r#"{"required":false}"#,
    ),
    ("GET", "/v1/orgs/{org}/agents/{agent}/channels", "read", ""),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/channels/history",
        "read",
        "",
    ),
    (
        "PUT",
        "/v1/orgs/{org}/agents/{agent}/channels/stable",
        "deploy",
        r#"{"version":1}"#,
    ),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/promote",
        "deploy",
        r#"{"version":1,"repin":true,"approve_capabilities":["import:clock"]}"#,
    ),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/canary",
        "deploy",
        r#"{"version":2,"weight":0.5,"repin":false,"approve_capabilities":[],"judge":{"failure_rate_above":0.1}}"#,
    ),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/rollback",
        "deploy",
        r#"{"channel":"stable","repin":true}"#,
    ),
    ("GET", "/v1/orgs/{org}/guardrails/violations", "read", ""),
    (
        "POST",
        "/v1/orgs/{org}/guardrails/check",
        "read",
        r#"{"guardrails":["pii.redact","max_tokens=10"],"text":"jane@example.com"}"#,
    ),
    // What it is told is signed, not authorized by a key.
    ("POST", STRIPE, "", ""),
    ("GET", "/v1/orgs/{org}/usage", "read", ""),
    ("GET", "/v1/orgs/{org}/usage/reconciliation", "read", ""),
    ("GET", "/v1/orgs/{org}/agent-runs/metrics", "read", ""),
    ("GET", "/v1/orgs/{org}/agents/{agent}/metrics", "read", ""),
    ("GET", "/v1/orgs/{org}/usage/export.csv", "read", ""),
    ("GET", "/v1/orgs/{org}/limits", "read", ""),
    (
        "PUT",
        "/v1/orgs/{org}/limits",
        "admin",
        r#"{"fuel":4000000000,"wall_ms":60000,"memory_bytes":null,"component_bytes":40000000}"#,
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/versions/{version}/limits",
        "read",
        "",
    ),
    (
        "PUT",
        "/v1/orgs/{org}/agents/{agent}/versions/{version}/limits",
        "admin",
        r#"{"fuel":3000000000,"handles":100}"#,
    ),
    ("GET", "/v1/orgs/{org}/model-connections", "admin", ""),
    (
        "GET",
        "/v1/orgs/{org}/model-connections/{name}",
        "admin",
        "",
    ),
    (
        "PUT",
        "/v1/orgs/{org}/model-connections/{name}",
        "admin",
        r#"{"kind":"openai","base_url":"https://models.example/v1","api_key":"k","default_model":"m","available_models":["m"]}"#,
    ),
    (
        "DELETE",
        "/v1/orgs/{org}/model-connections/{name}",
        "admin",
        "",
    ),
    ("GET", "/v1/orgs/{org}/webhook-events", "read", ""),
    ("GET", "/v1/orgs/{org}/webhook-endpoints", "admin", ""),
    (
        "POST",
        "/v1/orgs/{org}/webhook-endpoints",
        "admin",
        r#"{"url":"https://93.184.216.34/hook","description":"d","events":["agent_run.failed"],"signature":"stripe"}"#,
    ),
    (
        "GET",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}",
        "admin",
        "",
    ),
    (
        "PATCH",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}",
        "admin",
        r#"{"description":"d","events":["*"],"signature":"standard","enabled":true}"#,
    ),
    (
        "DELETE",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}",
        "admin",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}/rotate-secret",
        "admin",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}/test",
        "admin",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}/replay",
        "admin",
        r#"{"since":"2026-11-20T08:00:00Z","until":"2026-11-20T08:30:00Z","delivered":true}"#,
    ),
    (
        "GET",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}/deliveries",
        "admin",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}/deliveries/{event}",
        "admin",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/webhook-endpoints/{endpoint}/deliveries/{event}/redeliver",
        "admin",
        "",
    ),
    ("GET", "/v1/orgs/{org}/knowledge/entries", "read", ""),
    (
        "POST",
        "/v1/orgs/{org}/knowledge/entries",
        "deploy",
        r#"{"title":"T","content":"some words","tags":["a"],"type":"note","source":"s"}"#,
    ),
    (
        "GET",
        "/v1/orgs/{org}/knowledge/entries/{entry}",
        "read",
        "",
    ),
    (
        "DELETE",
        "/v1/orgs/{org}/knowledge/entries/{entry}",
        "deploy",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/knowledge/search",
        "read",
        r#"{"text":"words","limit":3,"tags":["a"]}"#,
    ),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/conversations",
        "run",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/conversations",
        "read",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}",
        "read",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}/messages",
        "read",
        "",
    ),
    (
        "DELETE",
        "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}",
        "run",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}/memory",
        "read",
        "",
    ),
    (
        "DELETE",
        "/v1/orgs/{org}/agents/{agent}/conversations/{conversation}/memory",
        "run",
        "",
    ),
    ("GET", "/v1/orgs/{org}/agents/{agent}/runs", "read", ""),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/runs",
        "run",
        r#"{"input":"x","channel":"stable","deadline_ms":1000,"max_fuel":1000000,"metadata":{"a":1}}"#,
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/runs/{run}",
        "read",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/runs/{run}/events",
        "read",
        "",
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/runs/{run}/steps",
        "read",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/runs/{run}/cancel",
        "run",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/runs/{run}/replay",
        "run",
        r#"{"version":1}"#,
    ),
    (
        "GET",
        "/v1/orgs/{org}/agents/{agent}/runs/{run}/recording",
        "read",
        "",
    ),
    (
        "POST",
        "/v1/orgs/{org}/agents/{agent}/replay",
        "run",
        r#"{"version":1,"last":2}"#,
    ),
];

/// Where the payment provider tells of subscriptions.
const STRIPE: &str = "/stripe/webhook";

const SCOPES: [&str; 4] = ["read", "run", "deploy", "admin"];

/// A host on which every operation finds what it names.
struct World {
    host: TestHost,
    client: Client,
    names: BTreeMap<&'static str, String>,
    described: Value,
}

impl World {
    async fn new() -> Box<Self> {
        let host = TestHost::start_with(|config| charge(config, "http://127.0.0.1:9")).await;
        host.deploy("acme", "echo", &guests::ECHO).await;
        let client = host.client("acme").await;
        let run = client.stream("echo", &json!({ "input": "x" })).await;
        let mut names = BTreeMap::from([("org", "acme".to_owned()), ("agent", "echo".to_owned())]);
        names.insert("run", run.run());
        run.rest().await;
        // One that may be deleted; another is there to be the canary, and to be gone back from.
        names.insert("version", "3".to_owned());
        client.deploy("echo", &guests::SPIN.bytes()).await;
        let conversation = client.converse("echo").await;
        names.insert("conversation", conversation);
        names.insert("name", "spare".to_owned());
        names.insert("source", "actions".to_owned());
        let described = client.get("/openapi.json").await.json();
        let mut world = Box::new(Self {
            host,
            client,
            names,
            described,
        });
        world.refill().await;
        world
    }

    /// Makes again what an operation may have taken away.
    async fn refill(&mut self) {
        for (name, path, id) in [
            ("key", "/keys", "/id"),
            ("entry", "/knowledge/entries", "/entry/id"),
            ("publisher", "/publisher-keys", "/id"),
        ] {
            let full = format!("/v1/orgs/{{org}}{path}");
            let body = body_of("POST", &full);
            let made = self
                .client
                .post(path, &serde_json::from_str(body).unwrap())
                .await;
            assert!(made.status.is_success(), "{path}: {}", made.text);
            let id = made
                .json()
                .pointer(id)
                .or(made.json().get("id"))
                .and_then(Value::as_str)
                .unwrap()
                .to_owned();
            self.names.insert(name, id);
        }
        let path = "/v1/orgs/{org}/model-connections/{name}";
        let body = serde_json::from_str(body_of("PUT", path)).unwrap();
        let put = self.client.put("/model-connections/spare", &body).await;
        assert!(put.status.is_success(), "{}", put.text);
        self.endpoint().await;
        self.versions().await;
    }

    /// The version that may have been deleted, and something to go back to.
    async fn versions(&self) {
        let again = self.client.upload("echo", &guests::DICE.bytes()).await;
        assert!(again.status.is_success(), "{}", again.text);
        assert_eq!(again.json()["number"], 3);
        self.client.deploy("echo", &guests::SPIN.bytes()).await;
        self.client.deploy("echo", &guests::ECHO.bytes()).await;
    }

    /// An endpoint that is enabled, with a delivery.
    async fn endpoint(&mut self) {
        if let Some(endpoint) = self.names.get("endpoint") {
            let path = format!("/webhook-endpoints/{endpoint}");
            if self.client.get(&path).await.json()["enabled"] == true {
                return;
            }
        }
        let page = self.client.get("/webhook-endpoints?limit=200").await.json();
        for endpoint in page["data"].as_array().into_iter().flatten() {
            let path = format!("/webhook-endpoints/{}", endpoint["id"].as_str().unwrap());
            self.client.delete(&path).await;
        }
        let body = body_of("POST", "/v1/orgs/{org}/webhook-endpoints");
        let body = serde_json::from_str(body).unwrap();
        let made = self.client.post("/webhook-endpoints", &body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json()["endpoint"]["id"].as_str().unwrap().to_owned();
        let path = format!("/webhook-endpoints/{id}/test");
        let sent = self.client.post(&path, &json!({})).await.json();
        let event = sent["event"].as_str().unwrap().to_owned();
        self.names.extend([("endpoint", id), ("event", event)]);
    }

    fn fill(&self, path: &str) -> String {
        self.names
            .iter()
            .fold(path.to_owned(), |path, (name, value)| {
                path.replace(&format!("{{{name}}}"), value)
            })
    }

    /// Whether the description allows the status for the operation.
    fn declares(&self, (method, path): (&str, &str), status: u16) -> bool {
        let responses = &self.described["paths"][path][method.to_lowercase()]["responses"];
        responses.get(status.to_string()).is_some()
            || responses.get(format!("{}XX", status / 100)).is_some()
    }

    fn check(&self, operation: (&str, &str), answer: &Answer, what: &str) {
        let status = answer.status.as_u16();
        let public = !operation.1.starts_with("/v1");
        // What no operation declares, because it is said before one is found: the wrong path or method.
        let said_before = public && (status == 404 || status == 405);
        assert!(
            said_before || self.declares(operation, status),
            "{operation:?} with {what}: undeclared {status}: {}",
            answer.text
        );
        if status >= 400 {
            assert_problem(answer);
        }
    }

    fn request(
        &self,
        client: &Client,
        (method, path, _, body): &Operation,
    ) -> reqwest::RequestBuilder {
        let method: Method = method.parse().unwrap();
        let request = client.request(method, &self.fill(path));
        match *body {
            "" if *path == STRIPE => {
                let event =
                    r#"{"id":"evt_1","type":"invoice.paid","created":1,"data":{"object":{}}}"#;
                let now = self.host.clock().now().unix_timestamp();
                let signed = signature(SECRET, now, event);
                request.header("stripe-signature", signed).body(event)
            }
            "" => request,
            "wasm" => request
                .header("content-type", "application/wasm")
                .body(guests::ECHO.bytes()),
            json => request
                .header("content-type", "application/json")
                .body(json),
        }
    }

    async fn end(self: Box<Self>) {
        // What the bad requests started by accident is over before the host is.
        bulkhead_tests::host::eventually("runs end", async || {
            self.host.host().app.runs.registry().is_empty()
        })
        .await;
        self.host.stop().await;
    }
}

fn body_of(method: &str, path: &str) -> &'static str {
    OPERATIONS
        .iter()
        .find(|operation| (operation.0, operation.1) == (method, path))
        .unwrap()
        .3
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_described_and_answered() {
    let mut world = World::new().await;
    let mut described = BTreeSet::new();
    for (path, methods) in world.described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let table: BTreeSet<_> = OPERATIONS
        .iter()
        .map(|o| (o.0.to_owned(), o.1.to_owned()))
        .collect();
    assert_eq!(
        described, table,
        "the description and the table of this test differ"
    );
    for operation in OPERATIONS {
        let answer = send(world.request(&world.client, operation)).await;
        assert!(
            answer.status.is_success(),
            "{operation:?}: {} {}",
            answer.status,
            answer.text
        );
        world.check((operation.0, operation.1), &answer, "a good request");
        world.refill().await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_takes_its_scope_and_no_other() {
    let world = World::new().await;
    let foreign = world.host.client("globex").await;
    let mut keys = Vec::new();
    for scope in SCOPES {
        let made = world
            .client
            .post("/keys", &json!({ "name": scope, "scopes": [scope] }))
            .await;
        keys.push((
            scope,
            world
                .client
                .with_key(made.json()["secret"].as_str().unwrap()),
        ));
    }
    let unknown = foreign.get("/v1/orgs/nobody/agents").await;
    for operation in OPERATIONS {
        let (_, path, needed, _) = operation;
        for (scope, client) in &keys {
            let answer = send(world.request(client, operation)).await;
            let refused = !needed.is_empty() && scope != needed && *scope != "admin";
            let what = format!("{operation:?} by {scope}: {}", answer.text);
            assert_eq!(answer.status == 403, refused, "{what}");
            assert_ne!(answer.status, 401, "{what}");
        }
        if !path.starts_with("/v1") {
            continue;
        }
        let theirs = send(world.request(&foreign, operation)).await;
        assert_eq!(
            theirs.status, 404,
            "{operation:?} of another organization: {}",
            theirs.text
        );
        assert_eq!(anonymous(&theirs), anonymous(&unknown), "{operation:?}");
        let nobody = send(world.request(&world.client.with_key("bh_x"), operation)).await;
        assert_eq!(
            nobody.refusal(),
            (401, "unknown_key".to_owned()),
            "{operation:?}"
        );
    }
    world.end().await;
}

/// The answer without what names the request.
fn anonymous(answer: &Answer) -> Value {
    let mut problem = answer.json();
    problem.as_object_mut().unwrap().remove("request_id");
    problem
}
