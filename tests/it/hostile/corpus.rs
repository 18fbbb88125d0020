//! The corpus, in a process of its own: memory is the process's, and so are the neighbour's latencies. The quick form
//! is part of the suite; `BULKHEAD_HOSTILE=long` runs each row 50 at once and 200 in a row under greater limits, and
//! `BULKHEAD_HOSTILE_ROW` only the rows whose name contains it.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::{Duration, Instant};

use bulkhead_tests::host::eventually;
use futures_util::FutureExt as _;

use super::crowd::{Form, LONG, QUICK, Stage, host, resident};
use super::neighbour::{Latencies, Neighbour};
use super::row::{Ending, Row};
use super::rows::rows;

const FORM: &str = "BULKHEAD_HOSTILE";
const ONLY: &str = "BULKHEAD_HOSTILE_ROW";
const CHILD: &str = "BULKHEAD_HOSTILE_CHILD";

/// What a crowd may leave behind in memory.
const LEFT_MAX: u64 = 16 << 20;

/// Runs `inside` alone in a fresh process of this binary, and prints its table.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are for a reader")]
fn every_hostile_guest_ends_as_it_must() {
    let this = std::env::current_exe().expect("a test has a path");
    let output = Command::new(this)
        .args(["hostile::corpus::inside", "--exact", "--nocapture"])
        .env(CHILD, "alone")
        .output()
        .expect("the test binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the host is still up"), "{said}");
    println!("{said}");
}

/// Meaningful only alone: beside other tests it does nothing.
#[test]
#[expect(clippy::print_stdout, reason = "a message to the parent test")]
fn inside() {
    if asked(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let form = if is_long() { LONG } else { QUICK };
    let only = asked(ONLY).unwrap_or_default();
    let chosen: Vec<Row> = rows()
        .into_iter()
        .filter(|row| row.name.contains(&only))
        .collect();
    assert!(!chosen.is_empty(), "no row's name contains `{only}`");
    println!("{}", runtime.block_on(play(form, &chosen)));
    println!("the host is still up");
}

/// Whether somebody has the time for the long form.
pub(super) fn is_long() -> bool {
    asked(FORM).as_deref() == Some("long")
}

#[expect(clippy::disallowed_methods, reason = "how a test is told what to do")]
fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

async fn play(form: Form, rows: &[Row]) -> String {
    let host = host(form).await;
    let stage = Stage::of(&host, form).await;
    let neighbour = Neighbour::of(&host).await;
    let ((), idle) = neighbour.beside(neighbour.some(200)).await;
    let mut table = format!(
        "neighbour idle: p50 / p99 {idle}\n\n\
         | row | ends with | alone | neighbour beside many at once | 200 in a row | resident before, after |\n\
         |---|---|---|---|---|---|\n"
    );
    stage.upload(rows).await;
    let (running, refused): (Vec<&Row>, Vec<&Row>) = rows
        .iter()
        .partition(|row| matches!(row.ending, Ending::Ends(..)));
    for row in refused {
        writeln!(
            table,
            "| {} | {} at upload | | | | |",
            row.name,
            row.reason()
        )
        .expect("memory");
    }
    let mut whole = Duration::ZERO;
    let mut failed = Vec::new();
    for row in &running {
        // Every row that ends otherwise is named, not only the first.
        let Ok(alone) = AssertUnwindSafe(stage.alone(row)).catch_unwind().await else {
            failed.push(row.name);
            continue;
        };
        whole += alone;
        let beside = if form.each || row.crowd > 50 {
            crowds(&stage, &neighbour, &[row]).await
        } else {
            "| | | ".to_owned()
        };
        line(&mut table, (row.name, row.reason()), alone, &beside);
    }
    assert!(
        failed.is_empty(),
        "these end otherwise: {failed:?}\n{table}"
    );
    if !form.each {
        let beside = crowds(&stage, &neighbour, &running).await;
        line(&mut table, ("all of them", ""), whole, &beside);
    }
    host.stop().await;
    table
}

fn line(table: &mut String, (name, reason): (&str, &str), alone: Duration, beside: &str) {
    let alone = alone.as_secs_f64() * 1_000.0;
    writeln!(table, "| {name} | {reason} | {alone:.0} ms {beside}|").expect("memory");
}

/// Many at once and 200 in a row of these, in turns.
async fn crowds(stage: &Stage<'_>, neighbour: &Neighbour, rows: &[&Row]) -> String {
    let of = |count: usize| -> Vec<&Row> { rows.iter().copied().cycle().take(count).collect() };
    let crowd = of(rows.len().max(rows[0].crowd));
    // What stays for good comes with the first: pages kept warm, the allocator's arenas.
    stage.at_once(&crowd).await;
    stage.is_empty().await;
    let before = resident();
    let (at_once, crowd) = timed(neighbour, stage.at_once(&crowd)).await;
    let (in_a_row, queue) = timed(neighbour, stage.in_a_row(&of(200))).await;
    stage.is_empty().await;
    let after = back_to(before).await;
    let mib = |bytes: u64| bytes >> 20;
    format!(
        "| {crowd} ({:.1} s) | {queue} ({:.1} s) | {}, {} MiB ",
        at_once.as_secs_f64(),
        in_a_row.as_secs_f64(),
        mib(before),
        mib(after)
    )
}

async fn timed(neighbour: &Neighbour, what: impl Future<Output = ()>) -> (Duration, Latencies) {
    let begun = Instant::now();
    let ((), latencies) = neighbour.beside(what).await;
    (begun.elapsed(), latencies)
}

/// Waits until memory is where it was.
async fn back_to(before: u64) -> u64 {
    let within = async || resident() <= before + LEFT_MAX;
    let what = format!(
        "memory is given back, {before} bytes before, {} now",
        resident()
    );
    eventually(&what, within).await;
    resident()
}
