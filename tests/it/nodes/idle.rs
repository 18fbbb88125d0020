//! What an idle reader costs: streams of a run that says nothing, on the node that runs it and on another, in a
//! process of their own so that its memory is theirs alone.

use std::path::Path;
use std::process::Stdio;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::program;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::guests;

/// Streams that are opened; the specification's figure is for 5,000.
#[expect(
    clippy::disallowed_methods,
    reason = "how many is the caller's to say, as in BULKHEAD_IDLE_STREAMS=5000"
)]
fn streams() -> usize {
    let given = std::env::var("BULKHEAD_IDLE_STREAMS");
    given.ok().and_then(|text| text.parse().ok()).unwrap_or(500)
}

/// What a stream may keep of its host's memory, in KiB.
const EACH_MAX: f64 = 96.0;

/// A host in a process of its own.
async fn serve(host: &TestHost, data: &Path) -> (Child, String) {
    let mut child = Command::new(program())
        .args(["serve", "--output", "json"])
        .env_clear()
        .env("DATABASE_URL", host.database_url())
        .env("BULKHEAD_MASTER_KEY", "0123456789abcdef".repeat(4))
        .env("BULKHEAD__LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__METRICS_LISTEN", "127.0.0.1:0")
        .env("BULKHEAD__DATA", data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    (child, ready["url"].as_str().unwrap().to_owned())
}

/// Resident memory of a process, in bytes.
fn resident(process: &Child) -> u64 {
    let path = format!("/proc/{}/status", process.id().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

/// A stream over a bare socket, read up to its first event after `after`.
async fn open(client: &Client, url: &str, run: &str, after: i32) -> TcpStream {
    let address = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).await.unwrap();
    let (org, key) = (&client.org, &client.key);
    let request = format!(
        "GET /v1/orgs/{org}/agents/sleep/runs/{run}/events?after={after} HTTP/1.1\r\nhost: h\r\n\
         authorization: Bearer {key}\r\naccept: text/event-stream\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let text = read_until(&mut socket, "event: text").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    socket
}

/// Reads until the words have come.
async fn read_until(socket: &mut TcpStream, words: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 2048]);
    while !text.contains(words) {
        let read = socket.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "it ended before `{words}`: {text}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[expect(clippy::print_stdout, reason = "a figure that is not asserted")]
#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_silent_run() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let folders = (Folder::new(), Folder::new());
    let (owner, url) = serve(&host, &folders.0).await;
    let (other, other_url) = serve(&host, &folders.1).await;
    let client = host.client("acme").await.at(&url);
    let mut events = client.stream("sleep", &json!({ "input": "600000" })).await;
    events.next_of("text").await;
    let run = events.run();
    for (what, process, url) in [
        ("its node", &owner, &url),
        ("another node", &other, &other_url),
    ] {
        // What is made once, such as connections to the database, is made before.
        let mut sockets = Vec::new();
        for _ in 0..20 {
            sockets.push(open(&client, url, &run, 1).await);
        }
        let before = resident(process);
        for _ in 0..streams() {
            sockets.push(open(&client, url, &run, 1).await);
        }
        let after = resident(process);
        let each = (after - before.min(after)) as f64 / 1024.0 / streams() as f64;
        println!("{} idle streams on {what}: {each:.1} KiB each", streams());
        // A connection that took a service of its own once took half a mebibyte.
        assert!(each < EACH_MAX, "{what}: {each:.1} KiB each");
        if what == "another node" {
            // Every one of them hears the end.
            assert_eq!(client.cancel("sleep", &run).await.status, 202);
            for socket in &mut sockets {
                read_until(socket, "event: done").await;
            }
        }
    }
    for mut process in [owner, other] {
        process.kill().await.unwrap();
    }
    host.stop().await;
}
