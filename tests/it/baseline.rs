//! I11: a host that stopped leaves nothing: files, sockets, threads and stores are back where they were. In a process
//! of its own, since other tests of this binary open and close all the time.

use std::process::Command;
use std::time::{Duration, Instant};

use bulkhead_tests::{TestHost, guests::template};
use serde_json::json;

use crate::guests;

#[derive(Debug)]
struct Open {
    files: usize,
    threads: usize,
}

impl Open {
    /// Nothing more than before. A thread of the baseline itself may have ended since.
    fn is_within(&self, before: &Self) -> bool {
        self.files <= before.files && self.threads <= before.threads
    }
}

fn open() -> Open {
    let count = |path: &str| std::fs::read_dir(path).map_or(0, |entries| entries.count());
    Open {
        files: count("/proc/self/fd"),
        threads: count("/proc/self/task"),
    }
}

/// Runs `inside` alone in a fresh process of this binary.
#[test]
fn a_stopped_host_leaves_nothing_open() {
    let this = std::env::current_exe().expect("a test has a path");
    let output = Command::new(this)
        .args(["baseline::inside", "--exact", "--nocapture"])
        .env("BULKHEAD_BASELINE", "alone")
        .output()
        .expect("the test binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("back at the baseline"), "{said}");
}

/// Meaningful only alone: beside other tests it does nothing.
#[test]
#[expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a message from the parent test, and to it"
)]
fn inside() {
    if std::env::var("BULKHEAD_BASELINE").is_err() {
        return;
    }
    // The first host of a process opens what stays for its life: the keeper's connection, the metrics recorder.
    round();
    let before = open();
    for _ in 0..3 {
        round();
    }
    // The kernel lists a thread for a moment after it was joined.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut after = open();
    while !after.is_within(&before) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        after = open();
    }
    assert!(
        after.is_within(&before),
        "after three more hosts: {after:?}, before them: {before:?}"
    );
    println!("back at the baseline: {after:?}");
}

fn round() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let host = TestHost::start().await;
        let client = host.client("acme").await;
        client.deploy("spin", &guests::SPIN.bytes()).await;
        client.deploy("chat", &template("chat")).await;
        let run = client.start("spin", &json!({ "input": "x" })).await;
        client.run("chat", &json!({ "input": "hello" })).await;
        client.cancel("spin", &run).await;
        host.stop().await;
    });
    drop(runtime);
}
