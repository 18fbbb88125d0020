//! How long a cancel takes over HTTP in every state a run can be in, on the run's host and from another one; and what
//! the spinning guests of another organization do to it, and to a neighbour's runs.

use std::time::{Duration, Instant};

use bulkhead_benches::{Bench, Silent, percentile, show, table};
use bulkhead_tests::Client;
use bulkhead_tests::guests::Guest;
use bulkhead_tests::raw::judge::{HANG, judging};
use bulkhead_tests::raw::places;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const ROUNDS: usize = 200;
/// Compiling takes a version of its own each time.
const COMPILES: usize = 20;
const SPIN: &str = "spin 1000000000000";

fn main() {
    Silent::play();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // One table alone, by its name.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wants = |table: &str| only.as_deref().is_none_or(|only| only == table);
    runtime.block_on(async {
        if wants("states") {
            Box::pin(states()).await;
        }
        if wants("neighbours") {
            Box::pin(neighbours()).await;
        }
    });
}

/// One state: what the run is told to do, and how it is known to be there.
struct State {
    name: &'static str,
    agent: &'static str,
    instructions: &'static str,
    is: &'static str,
    /// Enough for it to be where it is meant to be.
    settle: Duration,
}

const STATES: [State; 12] = [
    State {
        name: "queued",
        agent: "journey",
        instructions: "say a",
        is: "queued",
        settle: Duration::ZERO,
    },
    State {
        name: "computing",
        agent: "journey",
        instructions: SPIN,
        is: "running",
        settle: Duration::from_millis(2),
    },
    State {
        name: "model, before the first byte",
        agent: "journey",
        instructions: "ask nothing",
        is: "running",
        settle: Duration::from_millis(10),
    },
    State {
        name: "model, mid stream",
        agent: "journey",
        instructions: "ask half",
        is: "running",
        settle: Duration::from_millis(10),
    },
    State {
        name: "instantiating (at any moment of a short run)",
        agent: "instantiating",
        instructions: "x",
        is: "",
        settle: Duration::ZERO,
    },
    State {
        name: "in its start function",
        agent: "start",
        instructions: "x",
        is: "running",
        settle: Duration::from_millis(2),
    },
    State {
        name: "in a tool",
        agent: "tool",
        instructions: "x",
        is: "running",
        settle: Duration::from_millis(2),
    },
    State {
        name: "searching",
        agent: "search",
        instructions: "x",
        is: "running",
        settle: Duration::from_millis(5),
    },
    State {
        name: "judged by a guardrail component",
        agent: "judged",
        instructions: "x",
        is: "running",
        settle: Duration::from_millis(5),
    },
    State {
        name: "sleeping",
        agent: "journey",
        instructions: "sleep 9000",
        is: "running",
        settle: Duration::from_millis(2),
    },
    State {
        name: "suspended",
        agent: "journey",
        instructions: "sleep 500000",
        is: "suspended",
        settle: Duration::ZERO,
    },
    State {
        name: "finishing (at any moment of a short run)",
        agent: "journey",
        instructions: "say a",
        is: "",
        settle: Duration::ZERO,
    },
];

async fn states() {
    let bench = Bench::start(|config| {
        // A guardrail component judges until its run is stopped.
        config.guardrails.component_ms = 3_600_000;
        config.guardrails.component_fuel = u64::MAX / 4;
    })
    .await;
    let second = bench.join().await;
    let provider = Silent::start().await;
    let client = bench.client("acme").await;
    let full = bench.client("full").await;
    for client in [&client, &full] {
        provider.connect(client).await;
        client
            .deploy("journey", &Guest::new("journey").bytes())
            .await;
    }
    stay(&bench, &client).await;
    // All places of this organization are taken, so its next run waits.
    let put = full.put("/limits", &json!({ "concurrent_runs": 1 })).await;
    assert!(put.status.is_success(), "{}", put.text);
    tokio::time::sleep(Duration::from_secs(2)).await;
    full.start("journey", &json!({ "input": "sleep 9000" }))
        .await;
    let there = format!("http://{}", second.address);
    let mut rows = Vec::new();
    for state in &STATES {
        let here = if state.name == "queued" {
            &full
        } else {
            &client
        };
        if state.name == "queued" {
            full.start(
                "journey",
                &json!({ "input": "sleep 9500", "deadline_ms": 600_000 }),
            )
            .await;
        }
        let mut row = vec![state.name.to_owned()];
        for from in [here.clone(), here.at(&there)] {
            let mut taken = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                taken.push(cancelled(here, &from, state).await);
            }
            row.extend(figures(&mut taken));
        }
        rows.push(row);
    }
    rows.push(compiles(&client, &there).await);
    Box::pin(second.stop()).await.expect("it stops");
    bench.stop().await;
    table(
        "Cancel over HTTP, by state",
        "`cargo bench --bench stops`: from the request to cancel until its answer, which holds the receipt; 200 rounds for \
         each (20 for compiling), by a client that asks the run's host, and by one that asks another host of the database.",
        &[
            "the run is",
            "same host p50",
            "p99",
            "max",
            "other host p50",
            "p99",
            "max",
        ],
        &rows,
    );
}

async fn compiles(client: &Client, there: &str) -> Vec<String> {
    let mut row = vec!["compiling".to_owned()];
    for other in [false, true] {
        let mut taken = Vec::with_capacity(COMPILES);
        for n in 0..COMPILES {
            let round = u32::try_from(n).unwrap_or(0) * 2 + u32::from(other);
            taken.push(compiling(client, there, (round, other)).await);
        }
        row.extend(figures(&mut taken));
    }
    row
}

/// Deploys the guests that stay where a cancel is to find them.
async fn stay(bench: &Bench, client: &Client) {
    let clock = &bench.host.app.clock;
    let soon = clock.now() + Duration::from_secs(5);
    let start = places::at_its_start("(loop $ever (br $ever))", soon.unix_timestamp_nanos());
    for (agent, bytes) in [
        ("search", places::searching()),
        ("tool", places::in_a_tool()),
        ("instantiating", places::instantiated_slowly()),
        ("start", start),
        ("hangs", judging(HANG)),
        ("judged", places::judged_by("hangs")),
    ] {
        client.deploy(agent, &bytes).await;
    }
    let entry = json!({ "title": "Stopping", "content": "A run is stopped by a cancel." });
    let put = client.post("/knowledge/entries", &entry).await;
    assert!(put.status.is_success(), "{}", put.text);
    while clock.now() < soon {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn figures(taken: &mut [Duration]) -> [String; 3] {
    [0.5, 0.99, 1.0].map(|share| show(percentile(taken, share)))
}

/// Starts a run, waits until it is where it should be, and cancels it.
async fn cancelled(here: &Client, from: &Client, state: &State) -> Duration {
    let input = json!({ "input": state.instructions });
    let run = here.start(state.agent, &input).await;
    while !state.is.is_empty() && here.show(state.agent, &run).await["state"] != state.is {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(state.settle).await;
    let began = Instant::now();
    let answer = from.cancel(state.agent, &run).await;
    let taken = began.elapsed();
    let view = answer.json();
    assert!(view["ended_at"].is_string(), "{}: {view}", state.name);
    taken
}

/// A run of a version whose code the host does not have: it is compiled when the run starts.
async fn compiling(client: &Client, there: &str, (round, other): (u32, bool)) -> Duration {
    // A custom section makes it another component.
    let mut bytes = Guest::new("journey").bytes();
    bytes.extend([0, 6, 1, b'n']);
    bytes.extend(round.to_le_bytes());
    let deployed = client.deploy("fresh", &bytes).await;
    let over_there = client.at(there);
    let input = json!({ "input": "say a", "version": deployed });
    let run = over_there.start("fresh", &input).await;
    let from = if other { client } else { &over_there };
    let began = Instant::now();
    let view = from.cancel("fresh", &run).await.json();
    assert!(view["ended_at"].is_string(), "{view}");
    began.elapsed()
}

/// What the spinning guests of one organization do to another's.
async fn neighbours() {
    let bench = Bench::start(|config| config.runs.concurrent_per_org = 4_000).await;
    let polite = bench.client("polite").await;
    let rude = bench.client("rude").await;
    for client in [&polite, &rude] {
        client
            .deploy("journey", &Guest::new("journey").bytes())
            .await;
    }
    let (mut rows, mut spinning) = (Vec::new(), 0);
    for count in [0, 100, 3_000] {
        while spinning < count {
            rude.start("journey", &json!({ "input": SPIN })).await;
            spinning += 1;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut runs = Vec::with_capacity(ROUNDS * 2);
        for _ in 0..ROUNDS * 2 {
            let began = Instant::now();
            polite.run("journey", &json!({ "input": "say a" })).await;
            runs.push(began.elapsed());
        }
        let (mut answers, mut inside) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let run = polite.start("journey", &json!({ "input": SPIN })).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            let began = Instant::now();
            let view = polite.cancel("journey", &run).await.json();
            answers.push(began.elapsed());
            inside.push(stopped_in(&view["receipt"]));
        }
        let mut row = vec![count.to_string()];
        row.extend(figures(&mut runs));
        row.extend(figures(&mut answers));
        row.extend(figures(&mut inside));
        rows.push(row);
    }
    bench.stop().await;
    table(
        "A neighbour of spinning guests",
        "Runs and cancels of one organization, one after the other over HTTP, while so many guests of another spin; \
         cancels are of a spinning run, as its client and as its receipt (`requested_at` to `stopped_at`) measure it.",
        &[
            "spinning guests",
            "whole run p50",
            "p99",
            "max",
            "cancel, answered p50",
            "p99",
            "max",
            "cancel, stopped p50",
            "p99",
            "max",
        ],
        &rows,
    );
}

fn stopped_in(receipt: &Value) -> Duration {
    let at = |name: &str| {
        let text = receipt[name].as_str().unwrap_or_default();
        OffsetDateTime::parse(text, &Rfc3339).expect("a receipt has times")
    };
    (at("stopped_at") - at("requested_at"))
        .try_into()
        .unwrap_or_default()
}
