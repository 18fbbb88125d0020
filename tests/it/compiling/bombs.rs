//! Compile bombs, made here and sent as uploads: each is answered, none leaves a child, and the API answers others
//! meanwhile. What it cost is printed, not asserted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulkhead::kit::Tasks;
use bulkhead_tests::raw::Raw;
use bulkhead_tests::{Client, TestHost};
use reqwest::Method;

use super::processes;
use crate::limits::compiling::bomb;

/// The plain guest with more in its core module.
fn fields(fields: &str) -> Vec<u8> {
    Raw {
        fields,
        ..Raw::default()
    }
    .bytes()
}

/// The plain guest with a custom section.
fn custom(bytes: usize) -> Vec<u8> {
    let body = [b"\x04bomb".as_slice(), &vec![0x55; bytes]].concat();
    [Raw::default().bytes(), section(0, &body)].concat()
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id];
    let mut size = body.len();
    while size >= 0x80 {
        bytes.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    bytes.push(size as u8);
    bytes.extend_from_slice(body);
    bytes
}

/// Components in components.
fn nested(depth: usize) -> Vec<u8> {
    let preamble = b"\0asm\x0d\0\x01\0";
    (0..depth).fold(preamble.to_vec(), |inner, _| {
        [preamble.as_slice(), &section(4, &inner)].concat()
    })
}

/// Types of components, or of instances, in one another.
fn nested_types(kind: u8, depth: usize) -> Vec<u8> {
    let types = [[kind, 1, 1].repeat(depth), vec![kind, 0]].concat();
    let body = [vec![1], types].concat();
    [b"\0asm\x0d\0\x01\0".as_slice(), &section(7, &body)].concat()
}

/// Lists of lists, by index.
fn lists(depth: usize) -> Vec<u8> {
    let types: String = (1..=depth)
        .map(|n| format!("(type $l{n} (list $l{}))", n - 1))
        .collect();
    Raw {
        component: &format!("(type $l0 (list u8)) {types}"),
        ..Raw::default()
    }
    .bytes()
}

/// Each type twice the size of the one before.
fn doubling(times: usize) -> Vec<u8> {
    let types: String = (1..=times)
        .map(|n| format!("(type $d{n} (tuple $d{} $d{}))", n - 1, n - 1))
        .collect();
    Raw {
        component: &format!("(type $d0 (tuple u64 u64)) {types}"),
        ..Raw::default()
    }
    .bytes()
}

/// Each function of a type one result longer than the one before.
fn long_types(count: usize) -> Vec<u8> {
    let types: String = (0..count)
        .map(|n| {
            format!(
                "(type (func (param {}) (result {})))",
                "i64 ".repeat(n),
                "i64 ".repeat(n)
            )
        })
        .collect();
    fields(&types)
}

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let step = "local.get 0 i32.const 3 i32.mul local.get 0 i32.xor local.set 0\n";
    let call = "local.get 0 local.get 0 call $huge i32.add local.set 0\n";
    let locals = "i64 ".repeat(49_000);
    let live: String = (0..2_000)
        .map(|n| format!("local.get {n} local.get {} i64.add local.set {n}\n", n + 7))
        .collect();
    let table = "0 ".repeat(60_000);
    let tables = format!("(block (br_table {table} (local.get 0)))").repeat(20);
    vec![
        (
            "a function of 500,000 instructions",
            fields(&format!(
                "(func $huge (param i32) (result i32) {} local.get 0)",
                step.repeat(83_000)
            )),
        ),
        (
            "a function of 60,000 calls",
            fields(&format!(
                "(func $huge (param i32) (result i32) {} local.get 0)",
                call.repeat(60_000)
            )),
        ),
        (
            "49,000 locals, 2,000 alive",
            fields(&format!(
                "(func (local {locals}) (loop {live} (br_if 0 (i64.eqz (local.get 5)))))"
            )),
        ),
        ("4,000 blocks from one table", bomb(4_000)),
        (
            "100,000 blocks in blocks",
            fields(&format!(
                "(func {} {})",
                "block ".repeat(100_000),
                "end ".repeat(100_000)
            )),
        ),
        (
            "20 tables of 60,000 targets",
            fields(&format!("(func (param i32) {tables})")),
        ),
        (
            "100,000 data segments",
            fields(&"(data (i32.const 9000) \"x\")".repeat(99_000)),
        ),
        (
            "100,000 functions",
            fields(
                &"(func (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))\n"
                    .repeat(100_000),
            ),
        ),
        ("types of 900 results", long_types(900)),
        ("types that double 40 times", doubling(40)),
        ("lists of lists, 90,000 deep", lists(90_000)),
        (
            "component types, 1,000,000 deep",
            nested_types(0x41, 1_000_000),
        ),
        (
            "instance types, 1,000,000 deep",
            nested_types(0x42, 1_000_000),
        ),
        ("20,000 components in components", nested(20_000)),
        ("a custom section of 31 MB", custom(31 << 20)),
        ("100 MB", custom(100 << 20)),
    ]
}

/// How long others wait for an answer.
#[derive(Default)]
struct Latencies(Vec<Duration>);

impl Latencies {
    /// Asks until told to end.
    async fn until(client: Client, over: Arc<AtomicBool>) -> Self {
        let mut all = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let answer =
                bulkhead_tests::client::send(client.anonymous(Method::GET, "/livez")).await;
            assert_eq!(answer.status, 200);
            all.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Self(all)
    }

    fn show(mut self) -> String {
        self.0.sort_unstable();
        let at = |share: f64| {
            let place = ((self.0.len().max(1) - 1) as f64 * share).round() as usize;
            self.0
                .get(place)
                .map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
        };
        format!(
            "{:.1} / {:.1} / {:.1} ms of {}",
            at(0.5),
            at(0.99),
            at(1.0),
            self.0.len()
        )
    }
}

/// Runs `work` and watches how the API answers meanwhile.
async fn beside<T>(client: &Client, work: impl Future<Output = T>) -> (T, Duration, Latencies) {
    let over = Arc::new(AtomicBool::new(false));
    let asking = Tasks::current().spawn(Latencies::until(client.clone(), Arc::clone(&over)));
    let began = Instant::now();
    let done = work.await;
    let took = began.elapsed();
    over.store(true, Ordering::Relaxed);
    (done, took, asking.await.expect("it only asks"))
}

#[expect(clippy::print_stdout, reason = "what bombs cost is worth a look")]
#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_answered_and_hurt_nobody() {
    // A CPU limit of its own marks the children of this test.
    let host = TestHost::start_with(|config| {
        config.sandbox.compile.wall_s = 3;
        config.sandbox.compile.cpu_s = 59;
    })
    .await;
    let client = host.client("bomber").await;
    let ((), _, idle) = beside(&client, tokio::time::sleep(Duration::from_secs(1))).await;
    println!(
        "| bomb | bytes | answered after | with | livez p50 / p99 / max |\n|---|---|---|---|---|"
    );
    println!("| none | | | | {} |", idle.show());
    for (name, bytes) in bombs() {
        let (answer, took, others) = beside(&client, client.upload("bomb", &bytes)).await;
        let with = match answer.status.as_u16() {
            200 | 201 => "a version".to_owned(),
            422 => answer.json()["detail"]
                .as_str()
                .expect("problems say what")
                .chars()
                .take(90)
                .collect(),
            other => panic!("{name}: {other} {}", answer.text),
        };
        println!(
            "| {name} | {} | {took:.2?} | {with} | {} |",
            bytes.len(),
            others.show()
        );
        assert!(processes("\"cpu_s\":59").is_empty(), "{name} left a child");
    }
    client.deploy("raw", &Raw::default().bytes()).await;
}
