//! Caps: exactly what they say is admitted, whoever asks at the same time; what ends in the middle keeps what it said.

use std::time::Instant;

use bulkhead::billing::tiers::Dimension;
use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use futures_util::future::join_all;
use serde_json::json;

use super::{announced, cap, capped, count, input, journey, listens, provider, usage};
use crate::replay::is_the_same;

/// Fifty runs on each host at the same time: one is admitted, the others are told why not.
async fn race(hosts: &[&TestHost], client: &Client, (dimension, most): (Dimension, i64)) {
    let began = Instant::now();
    let started = hosts.iter().flat_map(|host| {
        let client = client.at(&host.url());
        (0..50).map(move |_| {
            let client = client.clone();
            // It uses tokens: what it held of them is not given back.
            async move { client.post("/agents/journey/runs", &input("ask a")).await }
        })
    });
    let answers = join_all(started).await;
    let took = began.elapsed().as_secs_f64();
    let (admitted, refused): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status.as_u16() == 202);
    say(format!(
        "cap race of {}: 4 hosts x 50 at cap - 1: {} admitted, {} refused, {:.0} asked/s",
        dimension.name(),
        admitted.len(),
        refused.len(),
        200.0 / took
    ));
    assert_eq!((admitted.len(), refused.len()), (1, 199));
    for answer in &refused {
        assert_eq!(
            answer.refusal(),
            (402, "cap_reached".to_owned()),
            "{}",
            answer.text
        );
        let told = answer.json();
        assert_eq!(
            (&told["dimension"], &told["cap"]),
            (&json!(dimension.name()), &json!(most))
        );
        assert!(told["used"].as_i64().unwrap() >= most, "{told}");
    }
}

#[expect(clippy::print_stdout, reason = "figures are for people")]
fn say(figure: String) {
    println!("{figure}");
}

/// Four hosts, fifty runs each, at one below the cap: exactly one is admitted, and of the others nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn four_hosts_at_one_below_the_cap_admit_one() {
    const CAP: i64 = 20;
    let first = TestHost::start().await;
    let client = journey(&first).await;
    let _model = provider(&client).await;
    let others = [first.join().await, first.join().await, first.join().await];
    let hosts: Vec<&TestHost> = std::iter::once(&first).chain(&others).collect();
    listens(&first, "acme").await;
    for dimension in [Dimension::Runs, Dimension::InputTokens] {
        capped(&hosts, "acme", &[cap(dimension, CAP.into(), true)]).await;
        // What the run of the other cap held is given back with its end.
        eventually("nothing is held", async || {
            count(&first, "usage_holds").await == 0
        })
        .await;
        // Nor does what it used count beside the sums that are set here.
        first.host().app.billing.fold().await.unwrap();
        let before = count(&first, "runs").await;
        sqlx::query(
            "insert into usage_periods (org_id, period, runs_taken, input_tokens)
             select id, date '2026-11-01', $1, $1 from organizations where slug = 'acme'
             on conflict (org_id, period) do update set runs_taken = $1, input_tokens = $1",
        )
        .bind(CAP - 1)
        .execute(first.db())
        .await
        .unwrap();
        race(&hosts, &client, (dimension, CAP)).await;
        assert_eq!(
            count(&first, "runs").await,
            before + 1,
            "a refused run is not written"
        );
    }
    join_all(hosts.iter().map(|host| host.run_jobs())).await;
    let topics: Vec<_> = announced(&first).await;
    let told: Vec<(&str, &str)> = topics
        .iter()
        .map(|(topic, data)| (topic.as_str(), data["dimension"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("usage.cap_reached", "input_tokens"),
            ("usage.cap_reached", "runs"),
            ("usage.cap_warning", "input_tokens"),
            ("usage.cap_warning", "runs"),
        ],
        "each is told once"
    );
    for host in others {
        host.stop().await;
    }
    first.stop().await;
}

/// The cap is met in the middle: what was said stands, the run's end names the cap, and its replay ends there too.
#[tokio::test(flavor = "multi_thread")]
async fn a_cap_in_the_middle_keeps_what_was_said() {
    let host = TestHost::start().await;
    let client = journey(&host).await;
    let model = provider(&client).await;
    for (dimension, most) in [(Dimension::OutputTokens, 3), (Dimension::InputTokens, 8)] {
        capped(&[&host], "acme", &[cap(dimension, most, true)]).await;
        let asked = model.requests().len();
        sqlx::query("delete from usage_periods")
            .execute(host.db())
            .await
            .unwrap();
        host.run_jobs().await;
        sqlx::query("update usage_periods set input_tokens = 0, output_tokens = 0")
            .execute(host.db())
            .await
            .unwrap();
        let run = client
            .stream(
                "journey",
                &input("say begun \nask a\nask b\nask c\nsay never"),
            )
            .await;
        let id = run.run();
        let events = run.rest().await;
        assert_eq!(stop_reason(&events), dimension.stop_reason());
        assert_eq!(text(&events), "begun two wordstwo words");
        assert_eq!(model.requests().len(), asked + 2, "the third was not asked");
        let shown = client.show("journey", &id).await;
        assert_eq!(
            (&shown["state"], &shown["output"]),
            (&json!("failed"), &json!("begun two wordstwo words"))
        );
        assert_eq!(shown["fault"]["blame"], "limit");
        is_the_same(&client, "journey", &id).await;
        assert_eq!(
            count(&host, "usage_holds").await,
            0,
            "its end gives back what it held"
        );
        let next = client.post("/agents/journey/runs", &input("say a")).await;
        assert_eq!(next.status, 402, "{}", next.text);
    }
    host.stop().await;
}

/// A soft cap refuses nothing; it is told once, with a warning before, however many hosts add up.
#[tokio::test(flavor = "multi_thread")]
async fn a_soft_cap_is_told_and_gone_beyond() {
    let host = TestHost::start().await;
    let client = journey(&host).await;
    let _model = provider(&client).await;
    let second = host.join().await;
    listens(&host, "acme").await;
    capped(
        &[&host, &second],
        "acme",
        &[cap(Dimension::OutputTokens, 10, false)],
    )
    .await;
    for (runs, told) in [(3, 0), (1, 1), (1, 2), (5, 2)] {
        for _ in 0..runs {
            let events = client.run("journey", &input("ask a")).await;
            assert_eq!(stop_reason(&events), "end_turn");
        }
        let folds = [&host, &second, &host, &second].map(|host| host.host().app.billing.fold());
        for folded in join_all(folds).await {
            folded.unwrap();
        }
        host.host().app.billing.fold().await.unwrap();
        assert_eq!(announced(&host).await.len(), told);
    }
    let month = usage(&client, "").await;
    let shown = &month["caps"][0];
    assert_eq!(
        (&shown["used"], &shown["overage"], &shown["hard"]),
        (&json!(20), &json!(10), &json!(false))
    );
    let overage: String =
        sqlx::query_scalar("select overage::text from usage_marks where kind = 'reached'")
            .fetch_one(host.db())
            .await
            .unwrap();
    assert_eq!(overage, "10", "what went beyond is kept");
    second.stop().await;
    host.stop().await;
}

/// What a later gate refuses, and what never began, gives back what it took.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_begin_is_given_back() {
    let host = TestHost::start_with(|config| {
        config.runs.concurrent = 1;
        config.runs.queued = 1;
        config.runs.queued_per_org = 1;
    })
    .await;
    let client = journey(&host).await;
    capped(&[&host], "acme", &[cap(Dimension::Runs, 4, true)]).await;
    let running = client.start("journey", &input("sleep 60000")).await;
    let queued = client.start("journey", &input("sleep 60000")).await;
    for _ in 0..5 {
        let full = client.post("/agents/journey/runs", &input("say a")).await;
        assert_eq!(full.refusal(), (429, "queue_full".to_owned()));
    }
    let taken = async || -> i64 {
        sqlx::query_scalar("select runs_taken from usage_periods")
            .fetch_one(host.db())
            .await
            .unwrap()
    };
    assert_eq!(taken().await, 2);
    // One whose host died between its admission and its beginning.
    sqlx::query(
        "insert into usage_holds select org_id, gen_random_uuid(), entered, period, at - interval '1 hour', true, 0, 0, 0
         from usage_holds limit 1",
    )
    .execute(host.db())
    .await
    .unwrap();
    sqlx::query("update usage_periods set runs_taken = runs_taken + 1")
        .execute(host.db())
        .await
        .unwrap();
    host.run_jobs().await;
    assert_eq!((taken().await, count(&host, "usage_holds").await), (2, 2));
    client.cancel("journey", &running).await;
    client.cancel("journey", &queued).await;
    client.run("journey", &input("say a")).await;
    client.run("journey", &input("say a")).await;
    let full = client.post("/agents/journey/runs", &input("say a")).await;
    assert_eq!(full.refusal(), (402, "cap_reached".to_owned()));
    host.stop().await;
}

/// Money is capped like tokens, and refused before anything is asked of a place.
#[tokio::test(flavor = "multi_thread")]
async fn spending_is_capped_to_the_month() {
    let host = TestHost::start_with(|config| {
        let row = json!({ "input_per_million": "0", "output_per_million": "500000" });
        let row = serde_json::from_value(row).unwrap();
        config.billing.prices.insert("default/m".to_owned(), row);
    })
    .await;
    let client = journey(&host).await;
    let _model = provider(&client).await;
    let tiers = bulkhead::billing::tiers::Tiers::new(host.db().clone(), host.clock().clone());
    let org = super::org_of(&host, "acme").await;
    tiers
        .cap_spending(org, Some("1.5".parse().unwrap()))
        .await
        .unwrap();
    host.host().app.billing.forget_plans();
    let events = client.run("journey", &input("ask a\nask b\nask c")).await;
    assert_eq!(stop_reason(&events), "cap:spend");
    let refused = client.post("/agents/journey/runs", &input("say a")).await;
    assert_eq!(refused.status, 402);
    let told = refused.json();
    assert_eq!(
        (&told["dimension"], &told["cap"], &told["used"]),
        (&json!("spend"), &json!("1.50"), &json!("2.00"))
    );
    let month = usage(&client, "").await;
    assert_eq!(
        (&month["caps"][0]["overage"], &month["total"]["cost"]),
        (&json!("0.50"), &json!("2.00"))
    );
    tiers.cap_spending(org, None).await.unwrap();
    host.host().app.billing.forget_plans();
    client.run("journey", &input("ask a")).await;
    host.stop().await;
}
