//! The audit log: how fast rows are appended, by one writer and by four, and how fast an export is made and verified.
//! `cargo run --release -p bulkhead-benches --bin audit -- 1000000`

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::time::{Duration, Instant};

use bulkhead::audit::verify::{Outside, verify};
use bulkhead::kit::OrgId;
use bulkhead::ledger::audit::{Action, Actor, Entry, Target, record};
use bulkhead_benches::{Bench, percentile, show, table};
use bulkhead_tests::Client;
use bulkhead_tests::folder::Folder;
use serde_json::json;
use sqlx::PgPool;

/// How long each way of appending is measured.
const APPEND: Duration = Duration::from_secs(5);
/// Rows of one transaction while the log is filled.
const FILL: usize = 1_000;

fn main() {
    let rows = std::env::args().nth(1).and_then(|rows| rows.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(Box::pin(measure(rows.unwrap_or(100_000))));
}

async fn measure(rows: usize) {
    let bench = Bench::start(|_| {}).await;
    let mut orgs = Vec::new();
    for name in ["a", "b", "c", "d"] {
        bench.client(name).await;
        let found = bench.host.app.identity.find_organization(name).await;
        orgs.extend(found.unwrap_or_else(|error| panic!("{error}")));
    }
    let mut lines = Vec::new();
    for (how, writers, of, batch) in [
        ("1 writer, 1 row each", 1, 1, 1),
        ("4 writers of one organization, 1 row each", 4, 1, 1),
        ("4 writers of four organizations, 1 row each", 4, 4, 1),
        ("1 writer, 100 rows each", 1, 1, 100),
        ("4 writers of one organization, 100 rows each", 4, 1, 100),
    ] {
        lines.push(appended(&bench, how, (writers, &orgs[..of]), batch).await);
    }
    table(
        "Audit rows appended",
        "One transaction after the other for 5 s, each with its commit, in this process with a durable PostgreSQL beside it.",
        &["writers", "rows/s", "commit p50", "commit p99"],
        &lines,
    );
    let client = bench.client("filled").await;
    let org = bench.host.app.identity.find_organization("filled").await;
    let org = org.ok().flatten().expect("it was just made");
    for first in (0..rows).step_by(FILL) {
        append(
            &bench.host.app.db,
            &entries(&bench, org, FILL.min(rows - first)),
        )
        .await;
    }
    let signed = bench.host.app.audit.sign_due().await;
    signed.unwrap_or_else(|error| panic!("{error}"));
    exported(&client, rows).await;
    bench.stop().await;
}

fn entries(bench: &Bench, org: OrgId, count: usize) -> Vec<Entry> {
    let now = bench.host.app.clock.now();
    let entry = |n| {
        let target = Target::new("agent_version", format!("agent/{n}"));
        Entry::new(
            org,
            now,
            Actor::key("key_0190b6f2"),
            Action::LimitsSet,
            target,
        )
        .changed(["fuel", "wall_ms"])
        .detail(&json!({ "some": "detail", "n": n }))
    };
    (0..count).map(entry).collect()
}

async fn append(db: &PgPool, entries: &[Entry]) {
    let appended = async {
        let mut tx = db.begin().await?;
        record(&mut tx, entries).await?;
        tx.commit().await?;
        Ok::<_, bulkhead::kit::Error>(())
    };
    appended.await.unwrap_or_else(|error| panic!("{error:?}"));
}

async fn appended(
    bench: &Bench,
    how: &str,
    (writers, orgs): (usize, &[OrgId]),
    batch: usize,
) -> Vec<String> {
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let db = bench.host.app.db.clone();
            let entries = entries(bench, orgs[writer % orgs.len()], batch);
            bench.host.app.tasks.spawn(async move {
                let mut took = Vec::new();
                while began.elapsed() < APPEND {
                    let from = Instant::now();
                    append(&db, &entries).await;
                    took.push(from.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.expect("a writer ends well"));
    }
    let rows = (took.len() * batch) as f64 / began.elapsed().as_secs_f64();
    vec![
        how.to_owned(),
        format!("{rows:.0}"),
        show(percentile(&mut took, 0.5)),
        show(percentile(&mut took, 0.99)),
    ]
}

async fn exported(client: &Client, rows: usize) {
    let folder = Folder::new();
    let path = folder.join("audit.jsonl");
    let began = Instant::now();
    let request = client.request("GET".parse().expect("a method"), "/audit/export.jsonl");
    let request = request.timeout(Duration::from_secs(3_600));
    let mut answer = request.send().await.expect("the host answers");
    let mut file = File::create(&path).expect("the folder is ours");
    while let Some(chunk) = answer.chunk().await.expect("the export is whole") {
        file.write_all(&chunk).expect("there is room");
    }
    let export = began.elapsed();
    let mib = file.metadata().map_or(0, |m| m.len()) as f64 / f64::from(1 << 20);
    let began = Instant::now();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(&path).expect("it is there"));
    let sound = verify(&mut reader, &Outside::default());
    let sound = sound.unwrap_or_else(|bad| panic!("{bad}"));
    let took = began.elapsed();
    let rate = |took: Duration| format!("{:.0}", rows as f64 / took.as_secs_f64());
    let million = took.as_secs_f64() * 1e6 / rows as f64;
    table(
        "An export made and verified",
        &format!(
            "{} rows, {mib:.0} MiB, {} checkpoints.",
            sound.rows, sound.inside
        ),
        &[
            "exported in",
            "rows/s",
            "verified in",
            "rows/s",
            "a million rows",
        ],
        &[vec![
            show(export),
            rate(export),
            show(took),
            rate(took),
            format!("{million:.1} s"),
        ]],
    );
}
