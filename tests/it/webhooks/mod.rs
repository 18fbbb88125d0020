//! Webhooks: what is announced and with what it becomes a fact; how it is signed, sent, tried again and given up; what
//! broken receivers can do to it, which is nothing to anybody else.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod addresses;
mod again;
mod api;
mod broken;
mod killed;
mod outbox;
mod schedule;
mod signatures;

use std::time::Duration;

use bulkhead_tests::client::{Answer, send};
use bulkhead_tests::host::eventually;
use bulkhead_tests::receiver::Receiver;
use bulkhead_tests::{Client, TestHost};
use reqwest::Method;
use serde_json::{Value, json};

/// An endpoint that was made, with its secret.
struct Endpoint {
    client: Client,
    id: String,
    secret: String,
}

impl Endpoint {
    /// Of `client`, told of `events`.
    async fn make(client: &Client, url: &str, events: &[&str]) -> Self {
        Self::of(client, &json!({ "url": url, "events": events })).await
    }

    async fn of(client: &Client, body: &Value) -> Self {
        let made = client.post("/webhook-endpoints", body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let made = made.json();
        Self {
            client: client.clone(),
            id: made["endpoint"]["id"].as_str().unwrap().to_owned(),
            secret: made["signing_secret"].as_str().unwrap().to_owned(),
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/webhook-endpoints/{}{rest}", self.id)
    }

    async fn show(&self) -> Value {
        self.client.get(&self.path("")).await.json()
    }

    async fn change(&self, body: &Value) -> Answer {
        let request = self.client.request(Method::PATCH, &self.path(""));
        send(request.json(body)).await
    }

    async fn post(&self, rest: &str, body: &Value) -> Answer {
        self.client.post(&self.path(rest), body).await
    }

    /// Sends a test event; its id.
    async fn test(&self) -> String {
        let sent = send(self.client.request(Method::POST, &self.path("/test"))).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        sent.json()["event"].as_str().unwrap().to_owned()
    }

    async fn deliveries(&self) -> Vec<Value> {
        let page = self.client.get(&self.path("/deliveries")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.json()["data"].as_array().unwrap().clone()
    }

    async fn delivery(&self, event: &str) -> Value {
        let path = self.path(&format!("/deliveries/{event}"));
        self.client.get(&path).await.json()
    }

    /// Waits until `count` attempts of a delivery are recorded, and its endpoint is free for the next.
    async fn tried(&self, host: &TestHost, event: &str, count: i64) -> Value {
        eventually(&format!("{count} attempts are recorded"), async || {
            self.delivery(event).await["attempts"] == count
        })
        .await;
        self.free(host).await;
        self.delivery(event).await
    }

    /// Waits until no host holds the endpoint.
    async fn free(&self, host: &TestHost) {
        let id = uuid::Uuid::parse_str(self.id.trim_start_matches("we_")).unwrap();
        eventually("the endpoint is given back", async || {
            let leased: Option<bool> =
                sqlx::query_scalar("select lease is not null from webhook_endpoints where id = $1")
                    .bind(id)
                    .fetch_optional(host.db())
                    .await
                    .unwrap();
            leased != Some(true)
        })
        .await;
    }
}

/// A host with a client, and a receiver.
async fn world() -> (TestHost, Client, Receiver) {
    world_with(1_000).await
}

/// Where an attempt without an answer fails after so long.
async fn world_with(timeout_ms: u64) -> (TestHost, Client, Receiver) {
    let host = TestHost::start_with(|config| config.webhooks.timeout_ms = timeout_ms).await;
    let client = host.client("acme").await;
    (host, client, Receiver::start().await)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Brings the test's clock to the machine's, for what is checked by that one.
fn machine_time(host: &TestHost) {
    let ahead = time::UtcDateTime::now() - host.clock().now().to_utc();
    if ahead.is_positive() {
        host.clock().advance(ahead.try_into().unwrap());
    }
}
