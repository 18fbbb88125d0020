//! What a durable run costs over HTTP, and what one that waits keeps in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bulkhead_benches::{Bench, percentile, resident, show, table};
use bulkhead_tests::Client;
use bulkhead_tests::guests::Guest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CLIENTS: usize = 64;
const SECONDS: u64 = 10;
const PARKED: usize = 1_000;

fn main() {
    // The provider that never answers lives in a process of its own, so that its memory is not the host's.
    if std::env::args().any(|argument| argument == "--provider") {
        return provider();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        throughput().await;
        parked().await;
    });
}

/// Runs per second and first-event latency: each client starts a run with `Accept: text/event-stream` and reads it to
/// the end, on a connection it keeps.
async fn throughput() {
    let bench = Bench::start(|_| {}).await;
    let client = bench.client("acme").await;
    client.deploy("echo", &Guest::new("echo").bytes()).await;
    let mut rows = Vec::new();
    for clients in [1, CLIENTS] {
        drive(&bench, &client, clients, Duration::from_secs(2)).await;
        let (mut firsts, mut wholes, elapsed) =
            drive(&bench, &client, clients, Duration::from_secs(SECONDS)).await;
        rows.push(vec![
            clients.to_string(),
            format!("{:.0}", wholes.len() as f64 / elapsed.as_secs_f64()),
            show(percentile(&mut firsts, 0.5)),
            show(percentile(&mut firsts, 0.99)),
            show(percentile(&mut wholes, 0.5)),
            show(percentile(&mut wholes, 0.99)),
        ]);
    }
    bench.stop().await;
    table(
        "Durable trivial runs over HTTP",
        "`cargo bench --bench runs`: clients, host and PostgreSQL (fsync on) on this machine; each run is a fresh sandbox \
         that says its input, streamed from `started` to `done`; 10 s after 2 s to warm up.",
        &[
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
    client: &Client,
    clients: usize,
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
        .map(|_| {
            let (stop, runs, request) = (Arc::clone(&stop), Arc::clone(&runs), request.clone());
            let address = bench.host.address;
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
    let bench = Bench::start(|config| config.runs.concurrent_per_org = 4_000).await;
    let client = bench.client("acme").await;
    let mut provider = tokio::process::Command::new(std::env::current_exe().expect("a path"))
        .arg("--provider")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the provider starts");
    let mut line = [0; 64];
    let mut stdout = provider.stdout.take().expect("it has one");
    let read = stdout
        .read(&mut line)
        .await
        .expect("it says where it listens");
    let base_url = format!(
        "http://{}/v1",
        String::from_utf8_lossy(&line[..read]).trim()
    );
    let connection =
        json!({ "kind": "openai", "base_url": base_url, "default_model": "m", "api_key": "k" });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
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

/// Accepts, reads, never answers.
#[expect(clippy::print_stdout, reason = "the address is for the parent")]
fn provider() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("it is bound"));
        let mut kept = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            kept.push(stream);
        }
    });
}
