//! The corpus, in a process of its own: memory is the process's, and so are the neighbour's latencies. The quick form
//! is part of the suite; `BULKHEAD_HOSTILE=long` runs each row 50 at once and 200 in a row under greater limits, and
//! `BULKHEAD_HOSTILE_ROW` only the rows whose name contains it.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use super::crowd::{Form, LONG, QUICK, Stage, host, resident};
use super::neighbour::{Latencies, Neighbour};
use super::row::{Ending, Row};
use super::rows::rows;

const FORM: &str = "BULKHEAD_HOSTILE";
const ONLY: &str = "BULKHEAD_HOSTILE_ROW";
const CHILD: &str = "BULKHEAD_HOSTILE_CHILD";

/// What a crowd that comes again may leave behind in memory.
const LEFT_MAX: u64 = 16 << 20;
/// How often it comes again before what stays is called a leak.
const REPEATED_MAX: usize = 4;

/// Runs `inside` alone in a fresh process of this binary, and prints its table.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are for a reader")]
fn every_hostile_guest_ends_as_it_must() {
    let this = std::env::current_exe().expect("a test has a path");
    let output = Command::new(this)
        .args(["hostile::corpus::inside", "--exact", "--nocapture"])
        .env(CHILD, "alone")
        // What is free goes back to the system at once: what stays is what somebody holds.
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_TRIM_THRESHOLD_", "0")
        .env("MALLOC_MMAP_THRESHOLD_", "16384")
        .env("MALLOC_TOP_PAD_", "0")
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
        .partition(|row| !matches!(row.ending, Ending::Refused(..)));
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
            crowds(&stage, &neighbour, (form, &[row])).await
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
        let beside = crowds(&stage, &neighbour, (form, &running)).await;
        line(&mut table, ("all of them", ""), whole, &beside);
    }
    host.stop().await;
    table
}

fn line(table: &mut String, (name, reason): (&str, &str), alone: Duration, beside: &str) {
    let alone = alone.as_secs_f64() * 1_000.0;
    writeln!(table, "| {name} | {reason} | {alone:.0} ms {beside}|").expect("memory");
}

/// Many at once and then, where these are all or each has its own, 200 in a row.
async fn crowds(stage: &Stage<'_>, neighbour: &Neighbour, (form, rows): (Form, &[&Row])) -> String {
    let of = |count: usize| -> Vec<&Row> { rows.iter().copied().cycle().take(count).collect() };
    let crowd = of(rows.len().max(rows[0].crowd));
    // What stays for good comes with the first: connections and their buffers, pages kept warm.
    stage.at_once(&crowd).await;
    let (mut before, mut after) = (stage.emptied().await, u64::MAX);
    let (mut at_once, mut crowded) = timed(neighbour, stage.at_once(&crowd)).await;
    for _ in 0..REPEATED_MAX {
        after = given_back(stage, before).await;
        if after <= before + LEFT_MAX {
            break;
        }
        before = after;
        (at_once, crowded) = timed(neighbour, stage.at_once(&crowd)).await;
    }
    let mib = |bytes: u64| bytes >> 20;
    assert!(
        after <= before + LEFT_MAX,
        "{}: {} MiB before, {} after, again and again",
        rows[0].name,
        mib(before),
        mib(after)
    );
    let in_a_row = if form.each || rows.len() > 1 {
        let (took, queued) = timed(neighbour, stage.in_a_row(&of(200))).await;
        format!("{queued} ({:.1} s)", took.as_secs_f64())
    } else {
        String::new()
    };
    let after = given_back(stage, before).await;
    format!(
        "| {crowded} ({:.1} s) | {in_a_row} | {}, {} MiB ",
        at_once.as_secs_f64(),
        mib(before),
        mib(after)
    )
}

async fn timed(neighbour: &Neighbour, what: impl Future<Output = ()>) -> (Duration, Latencies) {
    let begun = Instant::now();
    let ((), latencies) = neighbour.beside(what).await;
    (begun.elapsed(), latencies)
}

/// What is resident once memory is where it was, or after ten seconds.
async fn given_back(stage: &Stage<'_>, before: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut now = stage.emptied().await;
    while now > before + LEFT_MAX && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
        now = resident();
    }
    now
}
