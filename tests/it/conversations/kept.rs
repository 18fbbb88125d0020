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

/// Makes a message of the conversation's turn this large, and nothing that a run could be given.
async fn enlarge(host: &TestHost, turn: i32, bytes: i32) {
    let enlarged = sqlx::query(
        "update conversation_messages set content = to_json(repeat('x', $2)) where turn = $1 and role = 'user'",
    );
    let enlarged = enlarged.bind(turn).bind(bytes).execute(host.db()).await;
    assert_eq!(enlarged.unwrap().rows_affected(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_not_even_read() {
    let host = TestHost::start().await;
    host.deploy("acme", "recall", &RECALL).await;
    let client = host.client("acme").await;
    let conversation = client.converse("recall").await;
    for word in ["one", "two", "three"] {
        ask(&client, "recall", &conversation, word).await;
    }
    // Reading it fails: it has no parts.
    enlarge(&host, 2, 1 << 20).await;
    let fourth = ask(&client, "recall", &conversation, "four").await;
    let (kept, asked) = fourth.split_once('\n').unwrap();
    assert_eq!(kept, "u:three");
    assert!(asked.ends_with("u:four"), "{asked}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_messages_is_bounded_in_bytes() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &ECHO).await;
    let client = host.client("acme").await;
    let conversation = client.converse("echo").await;
    for turn in 1..=3 {
        ask(&client, "echo", &conversation, "x").await;
        enlarge(&host, turn, if turn == 3 { 5 << 20 } else { 3 << 20 }).await;
    }
    let path = format!("/agents/echo/conversations/{conversation}/messages?limit=50");
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{path}{cursor}")).await.json();
        pages.push(page["data"].as_array().unwrap().len());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    // 5 MiB go alone; 3 MiB go with small ones, and not with other 3 MiB.
    assert_eq!(pages, [1, 1, 3, 1]);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_has_ended_is_not_in_the_way() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &ECHO).await;
    let client = host.client("acme").await;
    let conversation = client.converse("echo").await;
    ask(&client, "echo", &conversation, "one").await;
    // As a host leaves it that knows no conversations and ended the run.
    let left = sqlx::query(
        "update conversations set open_run = (select run_id from conversation_messages where turn = 1 and role = 'user')",
    );
    assert_eq!(left.execute(host.db()).await.unwrap().rows_affected(), 1);
    assert_eq!(ask(&client, "echo", &conversation, "two").await, "two");
    assert_eq!(said(&client, "echo", &conversation).await.len(), 4);
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
