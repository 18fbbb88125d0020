//! What a canary is judged by: runs that drew their lot and ended by their version, however many others there are.

use std::time::Duration;

use bulkhead_tests::TestHost;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::judged::{canary, count, drawing, judged, judging, look, runs};
use super::{channels, variant, verb};
use crate::guests::JOURNEY;

/// More runs than are looked at.
const OTHERS: i32 = 10_001;

async fn two_versions(host: &TestHost) -> bulkhead_tests::Client {
    let client = host.client("acme").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 2)).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_named_or_not_the_versions_fault_decides_nothing() {
    let host = judging().await;
    let client = two_versions(&host).await;
    let judge = json!({"min_runs": 2, "failure_rate_above": 0});
    canary(&client, "agent", judge).await;
    runs(&host, &client, "agent", ("stable", "say a"), 2).await;
    for channel in ["canary", "stable"] {
        for _ in 0..3 {
            let named = json!({"input": "fail", "channel": channel});
            client.run("agent", &named).await;
        }
        // The later runs of a conversation are where its first one named them to be.
        let conversation = client.converse("agent").await;
        let first = json!({"input": "fail", "channel": channel, "conversation_id": conversation});
        client.run("agent", &first).await;
        let later = json!({"input": "fail", "conversation_id": conversation});
        client.run("agent", &later).await;
    }
    for _ in 0..3 {
        let conversation = drawing(&host, &client, "agent", "canary").await;
        let short = json!({"input": "say a", "max_fuel": 1, "conversation_id": conversation});
        client.run("agent", &short).await;
    }
    let fuel = "select count(*) from runs where stop_reason = 'fuel' and channel = 'canary'";
    assert_eq!(count(&host, fuel).await, 3);
    runs(&host, &client, "agent", ("canary", "fail"), 2).await;
    let faults = sqlx::query(
        "update runs set stop_reason = case when n = 1 then 'host_error' else 'model_error' end
         from (select id, row_number() over (order by id) as n from runs
               where channel = 'canary' and not channel_named and stop_reason <> 'fuel') of
         where runs.id = of.id",
    );
    assert_eq!(faults.execute(host.db()).await.unwrap().rows_affected(), 2);
    let standing = judged(&client, "agent").await;
    assert_eq!(standing["canary"]["runs"], 0, "{standing}");
    assert_eq!(
        (&standing["stable"]["runs"], &standing["stable"]["failed"]),
        (&json!(2), &json!(0)),
        "{standing}"
    );
    look(&host).await;
    assert_eq!(channels(&client, "agent").await.1, json!(2));
    runs(&host, &client, "agent", ("canary", "fail"), 2).await;
    look(&host).await;
    assert_eq!(channels(&client, "agent").await.1, Value::Null);
    host.stop().await;
}

/// Runs that named the canary, as one that there is, at a time of their own.
async fn others(host: &TestHost, at: OffsetDateTime) {
    let planted = sqlx::query(
        "insert into runs select (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'version', 2,
           'channel', 'canary', 'channel_named', true, 'conversation_id', null, 'created_at', $1::timestamptz))).*
         from runs r, generate_series(1, $2) where r.id = (select id from runs limit 1)",
    );
    let planted = planted.bind(at).bind(OTHERS).execute(host.db()).await;
    assert_eq!(planted.unwrap().rows_affected(), OTHERS as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_others_hide_neither_the_canarys_runs_nor_stables_of_before() {
    let host = judging().await;
    let client = two_versions(&host).await;
    runs(&host, &client, "agent", ("stable", "say a"), 2).await;
    host.clock().advance(Duration::from_secs(3_600));
    let judge = json!({"min_runs": 2, "failure_rate_above": 0});
    canary(&client, "agent", judge).await;
    runs(&host, &client, "agent", ("canary", "fail"), 2).await;
    host.clock().advance(Duration::from_secs(1));
    let at = host.clock().now();
    others(&host, at).await;
    let standing = judged(&client, "agent").await;
    assert_eq!(
        (&standing["canary"]["runs"], &standing["stable"]["runs"]),
        (&json!(2), &json!(2)),
        "{standing}"
    );
    let gone = sqlx::query("delete from runs where created_at = $1").bind(at);
    let gone = gone.execute(host.db()).await.unwrap().rows_affected();
    assert_eq!(gone, OTHERS as u64);
    look(&host).await;
    assert_eq!(channels(&client, "agent").await.1, Value::Null);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_that_are_shown_are_kept_for_a_while() {
    let host = TestHost::start_with(|config| config.agents.judge_ms = 600_000).await;
    let client = two_versions(&host).await;
    let judge = json!({"min_runs": 9, "failure_rate_above": 0});
    canary(&client, "agent", judge.clone()).await;
    assert_eq!(judged(&client, "agent").await["canary"]["runs"], 0);
    runs(&host, &client, "agent", ("canary", "say a"), 1).await;
    assert_eq!(judged(&client, "agent").await["canary"]["runs"], 0);
    // Those of channels that moved are others.
    let moved = json!({"version": 2, "weight": 0.6, "judge": judge});
    assert_eq!(verb(&client, "agent", "canary", moved).await.status, 200);
    assert_eq!(judged(&client, "agent").await["canary"]["runs"], 1);
    host.stop().await;
}
