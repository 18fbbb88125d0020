//! What is kept and given again: in order, whole, bounded, whatever ended the run and whichever host it was on.

use std::time::Duration;

use bulkhead_tests::TestHost;
use bulkhead_tests::host::eventually;
use serde_json::{Value, json};

use super::{ask, said};
use crate::guests::{ECHO, RECALL, SPIN};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_given_what_was_said_before() {
    let host = TestHost::start().await;
    host.deploy("acme", "recall", &RECALL).await;
    let client = host.client("acme").await;
    let other = host.join().await;
    let conversation = client.converse("recall").await;
    assert_eq!(ask(&client, "recall", &conversation, "one").await, "u:one");
    let elsewhere = client.at(&other.url());
    host.clock().advance(Duration::from_secs(1));
    let second = ask(&elsewhere, "recall", &conversation, "two").await;
    assert_eq!(second, "u:one\na:u:one\nu:two");
    host.clock().advance(Duration::from_secs(1));
    let third = ask(&client, "recall", &conversation, "three").await;
    assert_eq!(
        third,
        "u:one\na:u:one\nu:two\na:u:one/a:u:one/u:two\nu:three"
    );
    // Another conversation, and a run of none, know nothing of it.
    host.clock().advance(Duration::from_secs(1));
    let fresh = client.converse("recall").await;
    assert_eq!(ask(&client, "recall", &fresh, "four").await, "u:four");
    let shown = client
        .get(&format!("/agents/recall/conversations/{conversation}"))
        .await
        .json();
    assert_eq!(
        (&shown["turns"], &shown["version"], &shown["channel"]),
        (&json!(3), &json!(1), &json!("stable"))
    );
    assert_eq!(shown["open_run"], Value::Null);
    let runs = client.get("/agents/recall/runs").await.json();
    assert_eq!(runs["data"][1]["conversation_id"], json!(conversation));
    // A replay is given the same.
    let run = runs["data"][1]["id"].as_str().unwrap().to_owned();
    let replay = client
        .post(&format!("/agents/recall/runs/{run}/replay"), &json!({}))
        .await;
    assert_eq!(replay.json()["differences"], json!([]), "{}", replay.text);
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_hold_all_that_was_said() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &ECHO).await;
    let client = host.client("acme").await;
    let conversation = client.converse("echo").await;
    for n in 0..4 {
        ask(&client, "echo", &conversation, &format!("m{n}")).await;
    }
    let path = format!("/agents/echo/conversations/{conversation}/messages?limit=3");
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}{cursor}")).await.json();
        for row in page["data"].as_array().unwrap() {
            seen.push(format!("{}{}", row["turn"], row["role"].as_str().unwrap()));
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.reverse();
    let all = (1..=4).flat_map(|turn| [format!("{turn}user"), format!("{turn}assistant")]);
    assert_eq!(seen, all.collect::<Vec<_>>());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_is_left_out_where_it_does_not_fit() {
    let host = TestHost::start_with(|config| {
        config.runs.conversation_messages = 3;
        config.runs.conversation_bytes = 30;
    })
    .await;
    host.deploy("acme", "echo", &ECHO).await;
    let client = host.client("acme").await;
    let conversation = client.converse("echo").await;
    for word in ["aa", "bb", "cc"] {
        ask(&client, "echo", &conversation, word).await;
    }
    client.deploy("echo", &RECALL.bytes()).await;
    // The version is the one it began with: another conversation shows what a run is given.
    let pinned = ask(&client, "echo", &conversation, "dd").await;
    assert_eq!(pinned, "dd");
    let conversation = client.converse("echo").await;
    for word in ["a", "b"] {
        ask(&client, "echo", &conversation, word).await;
    }
    let third = ask(&client, "echo", &conversation, "c").await;
    // Three messages at most, from a question on.
    assert_eq!(third, "u:b\na:u:a/a:u:a/u:b\nu:c");
    let fourth = ask(&client, "echo", &conversation, "d").await;
    // Thirty bytes at most: the answer before has no room.
    assert_eq!(fourth, "u:c\na:u:b/a:u:a/a:u:a/u:b/u:c\nu:d");
    let kept = said(&client, "echo", &conversation).await;
    assert_eq!(kept.len(), 8, "everything is kept");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_leaves_what_it_had_shown_and_makes_room() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &SPIN).await;
    let client = host.client("acme").await;
    let conversation = client.converse("spin").await;
    let body = json!({ "input": "x", "conversation_id": conversation });
    for turn in 1..=2 {
        let run = client.start("spin", &body).await;
        eventually("it spins", async || host.host().app.scheduler.alive() == 1).await;
        let path = format!("/agents/spin/conversations/{conversation}");
        assert_eq!(client.get(&path).await.json()["open_run"], json!(run));
        assert_eq!(client.cancel("spin", &run).await.status, 202);
        assert_eq!(client.get(&path).await.json()["turns"], turn);
    }
    let kept = said(&client, "spin", &conversation).await;
    let row =
        |turn, role: &str, text: &str, stop: Value| (turn, role.to_owned(), text.to_owned(), stop);
    assert_eq!(
        kept,
        [
            row(1, "user", "x", Value::Null),
            row(1, "assistant", "", json!("cancelled")),
            row(2, "user", "x", Value::Null),
            row(2, "assistant", "", json!("cancelled")),
        ]
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_elsewhere_answers_in_its_conversation() {
    let host = TestHost::start_with(|config| config.runs.dead_after_ms = 300).await;
    host.deploy("acme", "spin", &SPIN).await;
    let client = host.client("acme").await;
    let conversation = client.converse("spin").await;
    let run = client
        .start(
            "spin",
            &json!({ "input": "x", "conversation_id": conversation }),
        )
        .await;
    let other = host.join().await;
    let _gone = host.abandon().await;
    let elsewhere = client.at(&other.url());
    eventually("another host has it", async || {
        other.run_jobs().await;
        other.host().app.runs.registry().all().len() == 1
    })
    .await;
    assert_eq!(elsewhere.cancel("spin", &run).await.status, 202);
    let kept = said(&elsewhere, "spin", &conversation).await;
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1].3, json!("cancelled"));
    other.stop().await;
}
