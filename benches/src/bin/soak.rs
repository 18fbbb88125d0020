//! A host under load for as long as it is told, in minutes, with one hostile run in twenty: what its memory does.
//! `cargo run --release -p bulkhead-benches --bin soak -- 30`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bulkhead_benches::{Bench, resident, table};
use bulkhead_tests::Client;
use bulkhead_tests::guests::Guest;
use serde_json::json;

const CLIENTS: usize = 16;
/// Between two runs of a client: what is looked for is what stays behind, not what a full machine does.
const PAUSE: Duration = Duration::from_millis(50);
const SAMPLE: Duration = Duration::from_secs(5);
const HOUR: f64 = 3_600.0;

fn main() {
    let minutes = std::env::args()
        .nth(1)
        .and_then(|minutes| minutes.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(soak(minutes.unwrap_or(30)));
}

async fn soak(minutes: u64) {
    let bench = Bench::start(|_| {}).await;
    let client = bench.client("acme").await;
    client
        .deploy("journey", &Guest::new("journey").bytes())
        .await;
    let (stop, polite, hostile) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (stop, polite, hostile) = (stop.clone(), polite.clone(), hostile.clone());
            let client = client.clone();
            bench.host.app.tasks.spawn(async move {
                let mut round = n;
                while !stop.load(Ordering::Relaxed) {
                    round += 1;
                    let is_hostile = round % 20 == 0;
                    one(&client, round / 20, is_hostile).await;
                    let count = if is_hostile { &hostile } else { &polite };
                    count.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
            })
        })
        .collect();
    let samples = sampled(Duration::from_secs(minutes * 60)).await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.expect("a client ends");
    }
    bench.stop().await;
    // The first sixth is warm-up: pools fill, caches find their size.
    let steady = &floor(&samples[samples.len() / 6..]);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let first = steady.first().map_or(0.0, |sample| mib(sample.1));
    let last = steady.last().map_or(0.0, |sample| mib(sample.1));
    table(
        "Soak",
        "`cargo run --release -p bulkhead-benches --bin soak -- MINUTES`: 16 clients with 50 ms between runs, one run in twenty \
         hostile (endless loop, panic, memory hog, output flood); VmRSS every 5 s, the lowest of each minute after the first sixth, and the least-squares slope of these.",
        &[
            "minutes",
            "polite runs",
            "hostile runs",
            "MiB after warm-up",
            "MiB at the end",
            "MiB/h",
        ],
        &[vec![
            minutes.to_string(),
            polite.load(Ordering::Relaxed).to_string(),
            hostile.load(Ordering::Relaxed).to_string(),
            format!("{first:.1}"),
            format!("{last:.1}"),
            format!("{:.2}", slope(steady) * HOUR / f64::from(1 << 20)),
        ]],
    );
}

async fn one(client: &Client, round: usize, is_hostile: bool) {
    let input = match (is_hostile, round % 4) {
        (false, _) => json!({ "input": "say hello\ndice\nstatus at work\ntool hammer\nclock" }),
        (true, 0) => json!({ "input": "spin 1000000000000", "max_fuel": 20_000_000 }),
        (true, 1) => json!({ "input": "fail on purpose" }),
        (true, 2) => json!({ "input": format!("flood {}", 8 << 20) }),
        (true, _) => json!({ "input": "hoard" }),
    };
    client.run("journey", &input).await;
}

async fn sampled(length: Duration) -> Vec<(f64, u64)> {
    let began = Instant::now();
    let mut samples = Vec::new();
    while began.elapsed() < length {
        tokio::time::sleep(SAMPLE).await;
        samples.push((began.elapsed().as_secs_f64(), resident(std::process::id())));
    }
    samples
}

/// The lowest sample of each minute: between them lies what hostile guests hold in the instant they are looked at.
fn floor(samples: &[(f64, u64)]) -> Vec<(f64, u64)> {
    let minutes = samples.chunks(60 / SAMPLE.as_secs() as usize);
    let lowest = minutes.filter_map(|minute| minute.iter().min_by_key(|sample| sample.1));
    lowest.copied().collect()
}

/// Bytes per second.
fn slope(samples: &[(f64, u64)]) -> f64 {
    let count = samples.len() as f64;
    let mean = |value: fn(&(f64, u64)) -> f64| samples.iter().map(value).sum::<f64>() / count;
    let (time, bytes) = (mean(|sample| sample.0), mean(|sample| sample.1 as f64));
    let along = |sample: &(f64, u64)| (sample.0 - time) * (sample.1 as f64 - bytes);
    let across = |sample: &(f64, u64)| (sample.0 - time).powi(2);
    samples.iter().map(along).sum::<f64>() / samples.iter().map(across).sum::<f64>()
}
