//! Conversations leave a canary that the host ended, and no other: also those that are pinned to it late, and whatever a
//! host's clock says.

use serde_json::{Value, json};

use super::judged::{canary, count, drawing, judging, last_move, look, runs};
use super::{answers, channels, variant, verb};
use crate::guests::JOURNEY;

#[tokio::test(flavor = "multi_thread")]
async fn only_those_on_it_leave_it_and_late_ones_do_too() {
    let host = judging().await;
    let client = host.client("acme").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 2)).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 3)).await;
    let elsewhere = client.converse("agent").await;
    assert_eq!(answers(&client, "agent", &elsewhere).await.0, 1);
    let promoted = verb(&client, "agent", "promote", json!({"version": 3})).await;
    assert_eq!(promoted.status, 200, "{}", promoted.text);
    let judge = json!({"min_runs": 1, "failure_rate_above": 0});
    canary(&client, "agent", judge).await;
    let on_it = drawing(&host, &client, "agent", "canary").await;
    let fails = json!({"input": "fail", "conversation_id": on_it});
    client.run("agent", &fails).await;
    runs(&host, &client, "agent", ("stable", "say a"), 1).await;
    look(&host).await;
    assert_eq!(channels(&client, "agent").await.1, Value::Null);
    assert_eq!(last_move(&client, "agent").await["repinned"], 1);
    assert_eq!(
        answers(&client, "agent", &on_it).await,
        (3, json!("stable"))
    );
    assert_eq!(answers(&client, "agent", &elsewhere).await.0, 1, "it stays");

    // What a host that died left there, or another host pinned to it a moment later.
    let late = async || {
        let late = "update conversations set version = 2, channel = 'canary' where version = 3";
        let late = sqlx::query(late).execute(host.db()).await.unwrap();
        assert!(late.rows_affected() > 0);
        look(&host).await;
        assert_eq!(
            answers(&client, "agent", &on_it).await,
            (3, json!("stable"))
        );
    };
    late().await;
    let due = "select count(*) from withdrawn_canaries";
    assert_eq!(count(&host, due).await, 1, "it is looked for again");
    let later = "update withdrawn_canaries set withdrawn_at = withdrawn_at - interval '1 minute'";
    sqlx::query(later).execute(host.db()).await.unwrap();
    late().await;
    assert_eq!(count(&host, due).await, 1, "one was found");
    look(&host).await;
    assert_eq!(count(&host, due).await, 0);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_set_again_is_looked_at_again() {
    let host = judging().await;
    let client = host.client("acme").await;
    client.deploy("agent", &JOURNEY.bytes()).await;
    client.upload("agent", &variant(&JOURNEY.bytes(), 2)).await;
    let judge = json!({"min_runs": 1, "failure_rate_above": 0});
    canary(&client, "agent", judge.clone()).await;
    runs(&host, &client, "agent", ("canary", "fail"), 1).await;
    runs(&host, &client, "agent", ("stable", "say a"), 1).await;
    let ahead = "update agent_canaries set judged_at = now() + interval '1 day'";
    sqlx::query(ahead).execute(host.db()).await.unwrap();
    look(&host).await;
    assert_eq!(channels(&client, "agent").await.1, json!(2));
    canary(&client, "agent", judge).await;
    // The hosts' own clocks have no part in whose turn it is.
    host.run_jobs().await;
    assert_eq!(channels(&client, "agent").await.1, Value::Null);
    host.stop().await;
}
