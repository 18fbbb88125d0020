//! How long an event takes to a receiver that works while many others do not: half of them hang, half answer 500.
//! `cargo run --release -p bulkhead-benches --bin webhooks -- 10000` (broken endpoints, and seconds: 60)

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bulkhead::kit::{Clock, Ids, OrgId, Random};
use bulkhead::ledger::outbox::{Notice, Topic, announce};
use bulkhead_benches::{Bench, percentile, show, table};
use bulkhead_tests::Client;
use bulkhead_tests::receiver::{How, Receiver};
use serde_json::json;
use sqlx::PgPool;

/// Between two events for the healthy endpoint.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two events for every broken one.
const WAVE: Duration = Duration::from_secs(15);
const CLIENTS: usize = 8;

fn main() {
    let mut words = std::env::args().skip(1);
    let mut number = |default| {
        let word = words.next().and_then(|word| word.parse().ok());
        word.unwrap_or(default)
    };
    let (broken, seconds) = (number(10_000), number(60));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure(broken, Duration::from_secs(seconds)));
}

async fn measure(broken: u64, span: Duration) {
    let bench = Bench::start(|config| {
        config.webhooks.endpoints_per_org = i64::MAX;
        config.egress.allow = vec!["127.0.0.0/8".to_owned()];
        config.egress.http = true;
    })
    .await;
    let (bad, good) = (bench.client("bad").await, bench.client("good").await);
    let (hangs, fails, works) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    hangs.always(How::Silent);
    fails.always(How::Status(500));
    endpoint(&good, &works.url("/")).await;
    let made = make(&bad, broken, (&hangs, &fails)).await;
    let db = &bench.host.app.db;
    let (bad, good) = (org(db, "bad").await, org(db, "good").await);
    let ids = Ids::new(Clock::system(), Random::system());
    // It is known to work, as one is that has been there for a while.
    let first = say(db, &ids, good).await;
    works.arrived(1).await;
    let (began, mut wave) = (Instant::now(), None::<Instant>);
    let mut said: HashMap<String, Instant> = HashMap::new();
    while began.elapsed() < span {
        if wave.is_none_or(|wave| wave.elapsed() >= WAVE) {
            say(db, &ids, bad).await;
            wave = Some(Instant::now());
        }
        let id = say(db, &ids, good).await;
        said.insert(id, Instant::now());
        tokio::time::sleep(PAUSE).await;
    }
    works.arrived(said.len() + 1).await;
    let mut lags: Vec<Duration> = works
        .got()
        .iter()
        .filter(|got| got.id() != first)
        .map(|got| got.at.saturating_duration_since(said[&got.id()]))
        .collect();
    let attempts = hangs.got().len() + fails.got().len();
    table(
        "Webhooks",
        &format!(
            "{broken} broken endpoints, an event for each every {WAVE:?}, for {span:?}; {attempts} attempts at them; made in {made:.1?}."
        ),
        &[
            "healthy deliveries",
            "came twice",
            "lag p50",
            "lag p99",
            "lag max",
        ],
        &[vec![
            said.len().to_string(),
            (works.got().len() - said.len() - 1).to_string(),
            show(percentile(&mut lags, 0.5)),
            show(percentile(&mut lags, 0.99)),
            show(percentile(&mut lags, 1.0)),
        ]],
    );
    bench.stop().await;
}

/// Makes so many endpoints, half of them at each receiver; how long that took.
async fn make(client: &Client, count: u64, (hangs, fails): (&Receiver, &Receiver)) -> Duration {
    let began = Instant::now();
    let making = (0..CLIENTS as u64).map(|first| async move {
        for n in (first..count).step_by(CLIENTS) {
            let receiver = if n % 2 == 0 { hangs } else { fails };
            endpoint(client, &receiver.url(&format!("/{n}"))).await;
        }
    });
    futures_util::future::join_all(making).await;
    began.elapsed()
}

async fn endpoint(client: &Client, url: &str) {
    let body = json!({ "url": url, "events": ["*"] });
    let made = client.post("/webhook-endpoints", &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
}

async fn org(db: &PgPool, slug: &str) -> OrgId {
    let id: sqlx::types::Uuid = sqlx::query_scalar("select id from organizations where slug = $1")
        .bind(slug)
        .fetch_one(db)
        .await
        .expect("it was made");
    OrgId(id)
}

/// Something happens in an organization; the event's id.
async fn say(db: &PgPool, ids: &Ids, org: OrgId) -> String {
    let at = Clock::system().now();
    let notice = Notice::new(ids.next(), org, Topic::AuditFlagged, at, &json!({}));
    let mut tx = db.begin().await.expect("the database is there");
    announce(&mut tx, [&notice]).await.expect("it is written");
    tx.commit().await.expect("it is written");
    notice.id.to_string()
}
