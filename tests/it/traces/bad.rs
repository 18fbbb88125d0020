//! Collectors that are down, wrong, slow or silent, and configurations that cannot be: nobody else is delayed, what is
//! lost is counted, and a mistake is one error.

use std::time::Duration;

use bulkhead::kit::egress::Egress;
use bulkhead::kit::http::Cursors;
use bulkhead::kit::{Base, Clock, Ids, Random, Secret, Tasks, Tracing, trace};
use bulkhead_tests::client::stop_reason;
use bulkhead_tests::host::eventually;
use bulkhead_tests::receiver::How;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Mutex;

use super::Traced;

/// The counts are the process's: who reads them is alone.
static COUNTING: Mutex<()> = Mutex::const_new(());

async fn dropped(traced: &Traced, reason: &str) -> u64 {
    let url = traced.host.metrics_url();
    let text = reqwest::get(url)
        .await
        .expect("metrics answer")
        .text()
        .await
        .expect("they are text");
    let line = format!("bulkhead_trace_spans_dropped_total{{reason=\"{reason}\"}} ");
    let found = text.lines().find_map(|at| at.strip_prefix(&line));
    found.map_or(0, |count| count.parse().expect("a count is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_delays_nobody() {
    let _alone = COUNTING.lock().await;
    let traced = Traced::told(How::Silent, |config| {
        config.tracing.queue_spans = 4;
        config.tracing.batch_spans = 2;
        config.tracing.export_ms = 600_000;
        config.tracing.flush_ms = 50;
    })
    .await;
    let (queued, stopped) = (
        dropped(&traced, "queue").await,
        dropped(&traced, "stop").await,
    );
    for _ in 0..8 {
        let events = traced.run("say a").await;
        assert_eq!(stop_reason(&events), "end_turn");
    }
    traced.collector.receiver.arrived(1).await;
    eventually("the queue is full", async || {
        dropped(&traced, "queue").await > queued
    })
    .await;
    // What it has and what waits is given up: the stop does not wait for the collector.
    let Traced {
        host, collector, ..
    } = traced;
    let metrics = host.metrics_url();
    let second = host
        .join_with(|config| config.tracing.otlp_endpoint.clear())
        .await;
    let stop = tokio::time::timeout(Duration::from_secs(60), host.stop()).await;
    assert!(stop.is_ok(), "the stop waits for the collector");
    let text = reqwest::get(second.metrics_url())
        .await
        .expect("metrics")
        .text()
        .await
        .expect("text");
    let line = "bulkhead_trace_spans_dropped_total{reason=\"stop\"} ";
    let now = text
        .lines()
        .find_map(|at| at.strip_prefix(line))
        .unwrap_or("0");
    let now: u64 = now.parse().expect("a count is a number");
    assert!(now > stopped, "{metrics}: what was left is counted: {now}");
    assert_eq!(collector.exports().len(), 1, "one export at a time");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_fails_costs_its_spans_and_is_asked_again() {
    let _alone = COUNTING.lock().await;
    let traced = Traced::start(|config| config.tracing.export_ms = 2_000).await;
    for how in [
        How::Status(400),
        How::Status(500),
        How::Closes,
        How::Garbage,
    ] {
        traced.collector.receiver.always(how.clone());
        let before = dropped(&traced, "export").await;
        let events = traced.run("say a").await;
        assert_eq!(stop_reason(&events), "end_turn", "{how:?}");
        eventually("what was lost is counted", async || {
            dropped(&traced, "export").await > before
        })
        .await;
    }
    traced.collector.receiver.always(How::Status(200));
    let seen = traced.collector.exports().len();
    traced.run("say b").await;
    traced.collector.receiver.arrived(seen + 1).await;
    traced.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_sent_when_a_host_stops() {
    let traced = Traced::start(|config| config.tracing.batch_wait_ms = 3_600_000).await;
    traced.run("say a").await;
    let Traced {
        host, collector, ..
    } = traced;
    assert_eq!(collector.exports().len(), 0, "a batch is not full");
    host.stop().await;
    assert_eq!(collector.named("invoke_agent journey").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_cannot_be_is_one_error() {
    let clock = Clock::system();
    let base = Base {
        db: PgPoolOptions::new()
            .connect_lazy("postgres://nobody@localhost/none")
            .expect("it is lazy"),
        ids: Ids::new(clock.clone(), Random::system()),
        clock,
        cursors: Cursors::new(b"test"),
        tasks: Tasks::current(),
        tracing: Tracing::default(),
    };
    let egress = Egress::new().expect("a client");
    let start = |change: &dyn Fn(&mut trace::Config)| {
        let mut config = trace::Config {
            otlp_endpoint: "http://127.0.0.1:4318".to_owned(),
            ..trace::Config::default()
        };
        change(&mut config);
        Tracing::start(&config, &base, &egress)
    };
    let endpoint = |text: &'static str| {
        move |config: &mut trace::Config| config.otlp_endpoint = text.to_owned()
    };
    for text in [
        "collector",
        "127.0.0.1:4318",
        "grpc://127.0.0.1:4317",
        "http://",
        "http://u:p@collector:4318",
        "http://collector:4318/v1/traces",
        "http://collector:4318?x=1",
    ] {
        let why = start(&endpoint(text)).expect_err(text);
        assert!(
            why.starts_with("`tracing.otlp_endpoint` ") && why.ends_with('.'),
            "{text}: {why}"
        );
    }
    type Change = Box<dyn Fn(&mut trace::Config)>;
    let header = |name: &'static str, value: &'static str| -> Change {
        Box::new(move |config| {
            config.headers.insert(name.to_owned(), Secret::new(value));
        })
    };
    let rows: [(&str, Change); 9] = [
        ("sample_ratio", Box::new(|config| config.sample_ratio = 1.5)),
        (
            "sample_ratio",
            Box::new(|config| config.sample_ratio = f64::NAN),
        ),
        (
            "service_name",
            Box::new(|config| config.service_name.clear()),
        ),
        ("queue_spans", Box::new(|config| config.queue_spans = 0)),
        (
            "queue_spans",
            Box::new(|config| config.queue_spans = usize::MAX),
        ),
        ("batch_spans", Box::new(|config| config.batch_spans = 0)),
        (
            "batch_spans",
            Box::new(|config| config.batch_spans = config.queue_spans + 1),
        ),
        ("headers", header("not a name", "x")),
        ("headers", header("x-key", "pasted-canary\n")),
    ];
    for (key, change) in rows {
        let why = start(&*change).expect_err(key);
        assert!(why.contains(&format!("`tracing.{key}")), "{key}: {why}");
        assert!(!why.contains("canary"), "{why}");
    }
    assert_eq!(base.tasks.running(), 0, "what cannot be starts nothing");
    assert!(
        !start(&|config| config.otlp_endpoint.clear())
            .expect("off")
            .is_on()
    );
    assert_eq!(base.tasks.running(), 0, "off starts nothing");
    let on = start(&|_| {}).expect("it can be");
    assert_eq!((on.is_on(), base.tasks.running()), (true, 1));
    on.stop().await;
    base.tasks.finished().await;
}
