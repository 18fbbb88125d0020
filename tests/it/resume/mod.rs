//! Runs whose host died, went away, or that slept for long: they go on from their journal, on whichever host claims
//! them. What was done is not done again, what was said is not said again, and who was only slow writes nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bound;
mod dead;
mod diverged;
mod effects;
mod guarded;
mod killed;
mod left;
mod replayed;

use bulkhead_tests::client::Event;
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::Answer;
use bulkhead_tests::provider::Provider;
use bulkhead_tests::{Client, TestHost, logs};
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::guests;

/// Two hosts on one database, and a run on the first.
struct Pair {
    first: Box<TestHost>,
    second: Box<TestHost>,
    provider: Provider,
    /// Asks the second host.
    client: Client,
    run: String,
}

/// What `journey` declares, and the guardrail component `judge` where there is one.
#[derive(Debug, Default)]
struct Guarded<'a> {
    rules: &'a [&'a str],
    judge: Option<&'a [u8]>,
}

impl<'a> Guarded<'a> {
    fn by(rules: &'a [&'a str]) -> Self {
        Self { rules, judge: None }
    }

    fn and(self, judge: &'a [u8]) -> Self {
        Self {
            judge: Some(judge),
            ..self
        }
    }
}

impl Pair {
    /// A run of `journey` on the first host that has said `said` events.
    async fn new(instructions: &str, script: Vec<Answer>, said: usize) -> Self {
        Self::guarded(&Guarded::default(), instructions, script, said).await
    }

    /// The same, under guardrails.
    async fn guarded(
        guarded: &Guarded<'_>,
        instructions: &str,
        script: Vec<Answer>,
        said: usize,
    ) -> Self {
        // What is told here is told by the polls, when the test says so; a provider that hangs is waited for.
        let first = Box::pin(TestHost::start_with(|config| {
            config.runs.notifications = false;
            config.runs.cancel_wait_ms = 100;
            config.models.idle_ms = 60_000;
            config.models.total_ms = 120_000;
            // A guardrail component may judge for as long as a test has it judge.
            config.guardrails.component_ms = 3_600_000;
            config.guardrails.component_fuel = u64::MAX / 4;
        }))
        .await;
        let provider = Provider::start().await;
        if guarded.rules.is_empty() {
            first.deploy("acme", "journey", &guests::JOURNEY).await;
        } else {
            crate::guardrails::guarded(&first, "journey", &guests::JOURNEY, guarded.rules).await;
        }
        let client = first.client("acme").await;
        if let Some(judge) = guarded.judge {
            client.deploy("judge", judge).await;
        }
        connect(&client, &provider).await;
        provider.script(script);
        let second = Box::pin(first.join()).await;
        let mut events = client.stream("journey", &input(instructions)).await;
        for _ in 0..said {
            events.next().await.unwrap();
        }
        let run = events.run();
        let client = client.at(&second.url());
        Self {
            first: Box::new(first),
            second: Box::new(second),
            provider,
            client,
            run,
        }
    }

    /// As if the first host had said nothing for a minute.
    async fn first_dies(&self) {
        dies(&self.second, self.first.host().app.runs.node().0).await;
    }

    /// The second host takes over, and the run ends there: all of its events.
    async fn goes_on(&self) -> Vec<Event> {
        self.first_dies().await;
        self.second.run_jobs().await;
        self.events().await
    }

    async fn events(&self) -> Vec<Event> {
        self.client
            .resume("journey", &self.run, 0)
            .await
            .rest()
            .await
    }

    async fn show(&self) -> Value {
        self.client.show("journey", &self.run).await
    }

    /// The first host was only slow: what it still does for the run is refused, and it lets go of it.
    async fn first_wakes(&self) {
        let registry = self.first.host().app.runs.registry();
        for live in registry.all() {
            live.stop(
                bulkhead::runs::log::StopCause::Deadline,
                self.first.clock().now(),
            );
        }
        eventually("the first host is done with the run", async || {
            registry.is_empty()
        })
        .await;
    }

    /// Everything that is written of the run.
    async fn written(&self) -> Value {
        sqlx::query_scalar::<_, sqlx::types::JsonValue>(
            "select json_build_object('run', (select to_jsonb(r) from runs r),
               'events', (select json_agg(e order by seq) from run_events e),
               'steps', (select json_agg(s order by seq) from run_steps s),
               'intents', (select json_agg(i order by seq) from run_intents i),
               'usage', (select json_agg(u) from usage_records u))",
        )
        .fetch_one(self.second.db())
        .await
        .unwrap()
    }

    fn stop(self) -> LocalBoxFuture<'static, ()> {
        Box::pin(async move {
            self.first_wakes().await;
            self.second.stop().await;
            self.first.stop().await;
        })
    }
}

fn input(instructions: &str) -> Value {
    json!({ "input": instructions })
}

async fn connect(client: &Client, provider: &Provider) {
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "scripted"
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
}

/// A node's heartbeat is a minute old.
async fn dies(host: &TestHost, node: uuid::Uuid) {
    sqlx::query("update nodes set heartbeat_at = heartbeat_at - interval '1 minute' where id = $1")
        .bind(node)
        .execute(host.db())
        .await
        .unwrap();
}

/// The events as a reader tells them apart: kind and data, without what no two runs share.
fn told(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event.kind.as_str() {
            "started" => "started".to_owned(),
            "text" => format!("text {}", event.data["text"].as_str().unwrap()),
            "retract" => format!("retract {}", event.data["from"]),
            "done" => format!("done {}", event.data["stop_reason"].as_str().unwrap()),
            kind => format!("{kind} {}", event.data),
        })
        .collect()
}

/// Events are numbered from 1 without a gap.
fn numbered(events: &[Event]) {
    let numbers: Vec<i32> = events.iter().map(|event| event.id).collect();
    let count = i32::try_from(events.len()).unwrap();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>());
}

/// What a host says that wakes to find its runs taken.
fn expect_fencing() {
    logs::expect_errors("a run's write failed");
}
