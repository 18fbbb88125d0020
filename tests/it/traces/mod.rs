//! Traces as a collector receives them: one tree for a run, wherever it runs and whoever asked; nothing where nobody
//! wants them; nothing of what was said; and a collector that costs nobody anything, however it behaves.
#![expect(clippy::too_many_lines, reason = "tables are long")]

mod bad;
mod content;
mod moved;
mod parents;
mod tree;

use bulkhead::config::Config;
use bulkhead_tests::client::Event;
use bulkhead_tests::collector::Collector;
use bulkhead_tests::provider::Provider;
use bulkhead_tests::receiver::How;
use bulkhead_tests::{Client, TestHost};
use serde_json::json;

/// What the host names a request that starts a run.
const START: &str = "POST /v1/orgs/{org}/agents/{agent}/runs";

/// A host with traces, an agent that does what it is told, and its model.
struct Traced {
    host: TestHost,
    collector: Collector,
    provider: Provider,
    client: Client,
}

impl Traced {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::told(How::Status(200), change).await
    }

    /// With a collector that behaves like this from the first.
    async fn told(how: How, change: impl FnOnce(&mut Config)) -> Self {
        let collector = Collector::start().await;
        collector.receiver.always(how);
        let host = TestHost::start_with(|config| {
            collector.of(config);
            change(config);
        })
        .await;
        let provider = Provider::start().await;
        let client = host.client("acme").await;
        connect(&client, &provider).await;
        client
            .deploy("journey", &crate::guests::JOURNEY.bytes())
            .await;
        Self {
            host,
            collector,
            provider,
            client,
        }
    }

    async fn run(&self, input: &str) -> Vec<Event> {
        self.client.run("journey", &json!({ "input": input })).await
    }
}

async fn connect(client: &Client, provider: &Provider) {
    let body = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": KEY, "default_model": "scripted"
    });
    let put = client.put("/model-connections/default", &body).await;
    assert!(put.status.is_success(), "{}", put.text);
}

/// The model connection's key.
const KEY: &str = "sk-canary-91d27fae5503b86c";
