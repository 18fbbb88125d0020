//! What a durable run costs over HTTP, on one host and on two, and what waits costs in memory: a run in a host call, a
//! suspended run, an idle stream.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bulkhead_benches::{Bench, Silent, percentile, resident, show, table};
use bulkhead_tests::Client;
use bulkhead_tests::guests::Guest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SECONDS: u64 = 10;
const PARKED: usize = 1_000;
const SUSPENDED: usize = 10_000;
const STREAMS: usize = 2_000;

fn main() {
    Silent::play();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // One table alone has a process of its own, which matters to those of memory.
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let wants = |table: &str| only.as_deref().is_none_or(|only| only == table);
    runtime.block_on(async {
        if wants("throughput") {
            Box::pin(throughput()).await;
        }
        if wants("parked") {
            Box::pin(parked()).await;
        }
        if wants("suspended") {
            Box::pin(suspended()).await;
        }
        if wants("streams") {
            Box::pin(streams()).await;
        }
    });
}

/// Runs per second and first-event latency: each client starts a run with `Accept: text/event-stream` and reads it to
/// the end, on a connection it keeps.
async fn throughput() {
    let bench = Bench::start(|_| {}).await;
    let client = bench.client("acme").await;
    client.deploy("echo", &Guest::new("echo").bytes()).await;
    let second = bench.join().await;
    let both = [bench.host.address, second.address];
    let mut rows = Vec::new();
    for (hosts, clients) in [(1, 1), (1, 64), (1, 500), (2, 64), (2, 500)] {
        let (bench, addresses) = (&bench, &both[..hosts]);
        drive(bench, addresses, (&client, clients), Duration::from_secs(2)).await;
        let length = Duration::from_secs(SECONDS);
        let (mut firsts, mut wholes, elapsed) =
            drive(bench, addresses, (&client, clients), length).await;
        rows.push(vec![
            hosts.to_string(),
            clients.to_string(),
            format!("{:.0}", wholes.len() as f64 / elapsed.as_secs_f64()),
            show(percentile(&mut firsts, 0.5)),
            show(percentile(&mut firsts, 0.99)),
            show(percentile(&mut wholes, 0.5)),
            show(percentile(&mut wholes, 0.99)),
        ]);
    }
    Box::pin(second.stop()).await.expect("it stops");
    bench.stop().await;
    table(
        "Durable trivial runs over HTTP",
        "`cargo bench --bench runs`: clients, hosts (in one process) and PostgreSQL (fsync on) on this machine; each run \
         is a fresh sandbox that says its input, streamed from `started` to `done`; 10 s after 2 s to warm up.",
        &[
            "hosts",
            "clients",
            "runs/s",
            "first event p50",
            "p99",
            "whole run p50",
            "p99",
        ],
        &rows,
    );
}

async fn drive(
    bench: &Bench,
    addresses: &[SocketAddr],
    (client, clients): (&Client, usize),
    length: Duration,
) -> (Vec<Duration>, Vec<Duration>, Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let runs = Arc::new(AtomicU64::new(0));
    let body = json!({ "input": "hello" }).to_string();
    let request = format!(
        "POST /v1/orgs/acme/agents/echo/runs HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\
         accept: text/event-stream\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        client.key,
        body.len()
    );
    let began = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|n| {
            let (stop, runs, request) = (Arc::clone(&stop), Arc::clone(&runs), request.clone());
            let address = addresses[n % addresses.len()];
            bench.host.app.tasks.spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("the host listens");
                stream.set_nodelay(true).expect("a socket");
                let (mut firsts, mut wholes) = (Vec::new(), Vec::new());
                let mut buffer = Vec::with_capacity(4096);
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    stream
                        .write_all(request.as_bytes())
                        .await
                        .expect("the host reads");
                    firsts.push(one_run(&mut stream, &mut buffer, began).await);
                    wholes.push(began.elapsed());
                    runs.fetch_add(1, Ordering::Relaxed);
                }
                (firsts, wholes)
            })
        })
        .collect();
    tokio::time::sleep(length).await;
    stop.store(true, Ordering::Relaxed);
    let (mut firsts, mut wholes) = (Vec::new(), Vec::new());
    for task in tasks {
        let (first, whole) = task.await.expect("a client ends");
        firsts.extend(first);
        wholes.extend(whole);
    }
    (firsts, wholes, began.elapsed())
}

/// Reads one chunked answer to its end; the time of its first event.
async fn one_run(stream: &mut TcpStream, buffer: &mut Vec<u8>, began: Instant) -> Duration {
    buffer.clear();
    let mut first = None;
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk).await.expect("the host answers");
        assert!(
            read > 0,
            "the host closed: {}",
            String::from_utf8_lossy(buffer)
        );
        buffer.extend_from_slice(&chunk[..read]);
        if first.is_none() && contains(buffer, b"event: started") {
            first = Some(began.elapsed());
        }
        if buffer.ends_with(b"\r\n0\r\n\r\n") {
            assert!(
                contains(buffer, b"\"end_turn\""),
                "{}",
                String::from_utf8_lossy(buffer)
            );
            return first.expect("a run starts before it ends");
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Resident bytes of a run that waits for a model's first byte.
async fn parked() {
    let bench = Bench::start(|config| {
        config.runs.concurrent_per_org = 4_000;
        config.runs.suspend_after_ms = 24 * 3_600_000 + 1;
    })
    .await;
    let client = bench.client("acme").await;
    let provider = Silent::start().await;
    provider.connect(&client).await;
    client
        .deploy("generate", &Guest::new("generate").bytes())
        .await;
    client.deploy("sleep", &Guest::new("sleep").bytes()).await;
    let mut rows = Vec::new();
    for (agent, input, what) in [
        ("sleep", "3600000", "`clock.sleep`"),
        ("generate", "hello", "a model call"),
    ] {
        let warm = start(&client, agent, input, 50).await;
        cancel(&client, agent, &warm).await;
        let before = resident(std::process::id());
        let runs = start(&client, agent, input, PARKED).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let after = resident(std::process::id());
        let each = after.saturating_sub(before) / PARKED as u64;
        rows.push(vec![
            what.to_owned(),
            PARKED.to_string(),
            format!("{:.1} KiB", each as f64 / 1024.0),
        ]);
        cancel(&client, agent, &runs).await;
    }
    bench.stop().await;
    table(
        "Resident bytes of a parked run",
        "VmRSS of the host's process with 1,000 runs parked less before, after 50 runs to warm up; guest, store, journal, \
         and for the model call the host's connection to the provider included; the provider is another process.",
        &["parked in", "runs", "each"],
        &rows,
    );
}

async fn start(client: &Client, agent: &str, input: &str, runs: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(runs);
    for _ in 0..runs {
        ids.push(client.start(agent, &json!({ "input": input })).await);
    }
    ids
}

async fn cancel(client: &Client, agent: &str, runs: &[String]) {
    for run in runs {
        let answer = client.cancel(agent, run).await;
        assert_eq!(answer.json()["state"], "cancelled", "{}", answer.text);
    }
}

/// What ten thousand suspended runs cost the host: they are rows.
async fn suspended() {
    let bench = Bench::start(|_| {}).await;
    let client = bench.client("acme").await;
    client.deploy("sleep", &Guest::new("sleep").bytes()).await;
    let all = async |count: usize| {
        start(&client, "sleep", "3600000", count).await;
        while !bench.host.app.runs.registry().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    all(500).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = resident(std::process::id());
    all(SUSPENDED).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = resident(std::process::id()).saturating_sub(before);
    let count = client
        .get("/agents/sleep/runs?state=suspended&limit=1")
        .await;
    assert_eq!(count.json()["data"][0]["state"], "suspended");
    bench.stop().await;
    table(
        "Resident bytes of suspended runs",
        "VmRSS of the host's process with 10,000 runs suspended in `clock.sleep` less before, after 500 to warm up.",
        &["suspended runs", "all of them", "each"],
        &[vec![
            SUSPENDED.to_string(),
            format!("{:.1} MiB", grown as f64 / f64::from(1 << 20)),
            format!("{:.2} KiB", grown as f64 / 1024.0 / SUSPENDED as f64),
        ]],
    );
}

/// What a stream costs that has nothing to say, the client's end of the socket included.
async fn streams() {
    let bench = Bench::start(|config| config.runs.suspend_after_ms = 24 * 3_600_000 + 1).await;
    let client = bench.client("acme").await;
    client.deploy("sleep", &Guest::new("sleep").bytes()).await;
    let run = client.start("sleep", &json!({ "input": "600000" })).await;
    let request = format!(
        "GET /v1/orgs/acme/agents/sleep/runs/{run}/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\
         accept: text/event-stream\r\n\r\n",
        client.key
    );
    let second = bench.join().await;
    let mut rows = Vec::new();
    for (address, place) in [
        (bench.host.address, "the run's host"),
        (second.address, "another host"),
    ] {
        let mut kept = open(address, &request, 50).await;
        let before = resident(std::process::id());
        kept.extend(open(address, &request, STREAMS).await);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let grown = resident(std::process::id()).saturating_sub(before);
        rows.push(vec![
            place.to_owned(),
            STREAMS.to_string(),
            format!("{:.1} KiB", grown as f64 / 1024.0 / STREAMS as f64),
        ]);
    }
    client.cancel("sleep", &run).await;
    Box::pin(second.stop()).await.expect("it stops");
    bench.stop().await;
    table(
        "Resident bytes of an idle stream",
        "VmRSS of the process that holds the host and the clients, with 2,000 streams of one sleeping run less before.",
        &["read on", "streams", "each"],
        &rows,
    );
}

async fn open(address: SocketAddr, request: &str, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await.expect("the host listens");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("the host reads");
        let mut first = [0; 512];
        let read = stream.read(&mut first).await.expect("the host answers");
        assert!(first[..read].starts_with(b"HTTP/1.1 200"), "no stream");
        streams.push(stream);
    }
    streams
}
