//! Cancels in every state a run can be in, at random moments: one end, said where it was, nothing left. The quick form
//! cancels 50 runs in each state, `BULKHEAD_HOSTILE=long` 1,000; what a cancel took is printed.

use std::time::{Duration, Instant};

use bulkhead_tests::host::{eventually, patient};
use bulkhead_tests::provider::{Answer, How, Provider};
use bulkhead_tests::raw::judge::{ALLOW, HANG, judging};
use bulkhead_tests::raw::places;
use bulkhead_tests::{Client, TestHost};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::corpus::is_long;
use super::neighbour::Latencies;
use super::rows::at_its_start;
use crate::guests;
use crate::limits::compiling::bomb;
use crate::limits::usage_rows;

/// Runs of one kind, the longest pause before their cancel, and where they may be by then.
struct State {
    name: &'static str,
    client: Client,
    agent: &'static str,
    input: &'static str,
    pause: Duration,
    /// Where it may be; a run that stays comes to the last.
    places: &'static [&'static str],
    /// Whether a run may come to its own end first.
    may_complete: bool,
}

/// No run takes so long to come to where it waits.
const FAR: Duration = Duration::from_secs(30);

/// Where a run may be before its guest runs.
const BEFORE: [&str; 3] = ["queued", "compiling", "guest"];

/// And where it may be that its guardrail component does not let go of.
const JUDGED: [&str; 4] = ["queued", "compiling", "guest", "guardrail"];

/// What is said is answered so, and anything else allowed.
fn at_output(verdict: &str) -> String {
    format!(
        "(if (result i32) (i32.eq (local.get $place) (i32.const 1)) (then {verdict}) (else {ALLOW}))"
    )
}

impl State {
    fn place(&self) -> &'static str {
        self.places.last().expect("every state has a place")
    }

    fn of(name: &'static str, client: &Client, places: &'static [&'static str]) -> Self {
        Self {
            name,
            client: client.clone(),
            agent: name,
            input: "x",
            pause: Duration::from_millis(8),
            places,
            may_complete: false,
        }
    }
}

/// Random moments, the same in every run of the test.
struct Moments(u64);

impl Moments {
    fn next(&mut self, most: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let micros = u64::try_from(most.as_micros()).expect("pauses are short") + 1;
        Duration::from_micros((self.0 >> 33) % micros)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are for a reader")]
async fn in_every_state_at_any_moment() {
    let host = TestHost::start_with(|config| {
        patient(config);
        config.runs.concurrent_per_org = 8;
        config.sandbox.limits.fuel = i64::MAX as u64;
        config.sandbox.guests = 128;
        config.runs.concurrent = 100;
        // A guardrail component judges until it is stopped.
        config.guardrails.component_ms = 3_600_000;
        config.guardrails.component_fuel = u64::MAX / 4;
    })
    .await;
    let provider = Provider::start().await;
    let states = states(&host, &provider).await;
    // Guests that behave until they were looked at see another hour now.
    host.clock().advance(Duration::from_secs(3_600));
    let full = fill(&host).await;
    let mut moments = Moments(48);
    for state in &states {
        println!("{}", cancel_all(&host, state, &mut moments).await);
    }
    let crowd = host.client("full").await;
    for run in full {
        assert_eq!(
            crowd.cancel("spin", &run).await.json()["state"],
            "cancelled"
        );
    }
    nothing_is_left(&host).await;
    let asked = provider.requests().len();
    eventually("the provider is left alone", async || {
        provider.closed_connections() == asked
    })
    .await;
    assert!(asked > 0, "the provider was asked");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures are for a reader")]
async fn while_it_is_compiled() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let bytes = bomb(900);
    client.deploy("slow", &bytes).await;
    let version = client.get("/agents/slow/versions/1").await.json();
    let digest = version["digest"].as_str().expect("a digest")["sha256:".len()..].to_owned();
    for file in std::fs::read_dir(host.data().join("artifacts"))
        .expect("the cache is a folder")
        .flatten()
    {
        if file.file_name().to_string_lossy().starts_with(&digest) {
            std::fs::remove_file(file.path()).expect("it is ours");
        }
    }
    // Another host has nothing in memory.
    let fresh = host.join().await;
    let state = State {
        agent: "slow",
        ..State::of(
            "compiling",
            &fresh.client("acme").await,
            &["queued", "compiling"],
        )
    };
    println!("{}", cancel_all(&fresh, &state, &mut Moments(3)).await);
    nothing_is_left(&fresh).await;
}

async fn states(host: &TestHost, provider: &Provider) -> Vec<State> {
    let client = &host.client("acme").await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "scripted"
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    // More than is said before the cancel, however busy the machine is.
    let words = "word ".repeat(50_000);
    provider.when("silent", Answer::text("").how(How::HangBeforeHead));
    provider.when(
        "aloud",
        Answer::text(&words).how(How::Drip(Duration::from_millis(1))),
    );
    let start = at_its_start("(loop $ever (br $ever))");
    for (agent, bytes) in [
        ("search", places::searching()),
        ("tool", places::in_a_tool()),
        ("instantiating", places::instantiated_slowly()),
        ("start", start),
        ("spin", guests::SPIN.bytes()),
        ("sleep", guests::SLEEP.bytes()),
        ("echo", guests::ECHO.bytes()),
        ("generate", guests::GENERATE.bytes()),
        ("hangs", judging(HANG)),
        ("allows", judging(ALLOW)),
        ("hangs-at-output", judging(&at_output(HANG))),
        ("judged", places::judged_by("hangs")),
        ("judged-shortly", places::judged_by("allows")),
        ("judged-saying", places::judged_by("hangs-at-output")),
    ] {
        client.deploy(agent, &bytes).await;
    }
    let entry = json!({ "title": "Stopping", "content": "A run is stopped by a cancel." });
    let put = client.post("/knowledge/entries", &entry).await;
    assert!(put.status.is_success(), "{}", put.text);
    described(host, client).await
}

async fn described(host: &TestHost, client: &Client) -> Vec<State> {
    let full = host.client("full").await;
    full.deploy("spin", &guests::SPIN.bytes()).await;
    let of = |name, places| State::of(name, client, places);
    vec![
        State {
            agent: "spin",
            ..State::of("queued", &full, &["queued"])
        },
        State {
            may_complete: true,
            pause: Duration::from_millis(4),
            ..of(
                "instantiating",
                &["queued", "compiling", "guest", "finishing"],
            )
        },
        of("start", &BEFORE),
        State {
            agent: "spin",
            ..of("computing", &BEFORE)
        },
        State {
            agent: "generate",
            input: "silent",
            ..of("model, silent", &["queued", "compiling", "guest", "model"])
        },
        State {
            agent: "generate",
            input: "aloud",
            pause: Duration::from_millis(30),
            ..of(
                "model, speaking",
                &["queued", "compiling", "guest", "model"],
            )
        },
        of("tool", &BEFORE),
        of("search", &["queued", "compiling", "guest", "search"]),
        State {
            input: "3600000",
            ..of("sleep", &["queued", "compiling", "guest", "sleep"])
        },
        of("judged", &JUDGED),
        State {
            agent: "judged-saying",
            ..of("judged, what it says", &JUDGED)
        },
        State {
            agent: "judged-shortly",
            may_complete: true,
            ..of(
                "judged, at any moment",
                &["queued", "compiling", "guest", "guardrail", "finishing"],
            )
        },
        State {
            agent: "echo",
            may_complete: true,
            ..of("finishing", &["queued", "compiling", "guest", "finishing"])
        },
    ]
}

/// Runs that take every place of an organization.
async fn fill(host: &TestHost) -> Vec<String> {
    let client = host.client("full").await;
    let body = json!({ "input": "x" });
    join_all((0..8).map(|_| client.start("spin", &body))).await
}

/// Cancels runs of one kind, some at a time; what it took, and where they were.
async fn cancel_all(host: &TestHost, state: &State, moments: &mut Moments) -> String {
    let rounds = if is_long() { 200 } else { 10 };
    let mut took = Vec::new();
    let mut places = std::collections::BTreeMap::<String, usize>::new();
    let (mut round, mut longest) = (0, state.pause);
    // On a busy machine no run may have come so far in that time: then more of them have longer.
    while round < rounds || !(state.may_complete || places.contains_key(state.place())) {
        if round >= rounds {
            longest *= 2;
            assert!(
                longest < FAR,
                "{}: it is never there: {places:?}",
                state.name
            );
        }
        round += 1;
        let pauses: Vec<Duration> = (0..5).map(|_| moments.next(longest)).collect();
        let attempts = pauses.into_iter().map(|pause| attempt(host, state, pause));
        for (waited, place) in join_all(attempts).await {
            took.push(waited);
            *places.entry(place).or_default() += 1;
        }
    }
    format!(
        "cancel, {}: p50 / p99 {}, {places:?}",
        state.name,
        Latencies::of(took)
    )
}

/// One run, cancelled after a pause: one end, and everything agrees on it.
async fn attempt(host: &TestHost, state: &State, pause: Duration) -> (Duration, String) {
    let (client, agent, name) = (&state.client, state.agent, state.name);
    let run = client.start(agent, &json!({ "input": state.input })).await;
    tokio::time::sleep(pause).await;
    let begun = Instant::now();
    let answer = client.cancel(agent, &run).await;
    let took = begun.elapsed();
    assert!(
        [200, 202].contains(&answer.status.as_u16()),
        "{}",
        answer.text
    );
    let view = answer.json();
    let ended = view["state"].as_str().expect("a run has a state");
    let receipt = &view["receipt"];
    let place = receipt["where"].as_str().expect("a receipt has a place");
    if ended == "completed" && state.may_complete {
        assert_eq!(place, "finishing", "{name}: {view}");
    } else {
        assert_eq!(ended, "cancelled", "{name}: {view}");
        assert!(state.places.contains(&place), "{name}: {receipt}");
        for time in ["requested_at", "observed_at", "stopped_at"] {
            assert!(receipt[time].is_string(), "{name}: {time} in {receipt}");
        }
        assert_eq!(
            receipt["requested_at"], view["cancel_requested_at"],
            "{name}"
        );
    }
    let events = client.resume(agent, &run, 0).await.rest().await;
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event.id, seq, "{name}: events have no gap");
    }
    let done: Vec<&Value> = events
        .iter()
        .filter(|event| event.kind == "done")
        .map(|event| &event.data["state"])
        .collect();
    assert_eq!(done, [ended], "{name}: one end, and the log agrees");
    let last = events.last().expect("a run has events");
    assert_eq!(
        (last.kind.as_str(), &last.data["receipt"]),
        ("done", receipt),
        "{name}"
    );
    let fuel = receipt["fuel"].as_i64().expect("fuel is counted");
    assert_eq!(usage_rows(host, &run).await, [fuel], "{name}");
    (took, place.to_owned())
}

async fn nothing_is_left(host: &TestHost) {
    let app = &host.host().app;
    eventually("no guest is left", async || app.scheduler.alive() == 0).await;
    eventually("no run is left", async || app.runs.registry().is_empty()).await;
}
