//! A host that died: its run goes on from the journal as if nothing had been.

use std::time::Duration;

use bulkhead_tests::client::text;
use bulkhead_tests::provider::{Answer, How};
use serde_json::{Value, json};

use super::{Pair, connect, eventually, input, numbered, told};
use crate::guests;
use bulkhead_tests::TestHost;
use bulkhead_tests::provider::Provider;

const JOURNEY: &str =
    "say one \ndice\nclock\nask what?\ntool hammer\nsleep 20\nclock\ndice\nsay last";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_as_if_nothing_had_been() {
    // It dies in its sleep: behind it lie texts, randomness, clocks, a generation and a tool.
    let long = JOURNEY.replace("sleep 20", "sleep 1000");
    let pair = Pair::new(&long, vec![Answer::text("two words ")], 8).await;
    let before = pair.written().await;
    let events = pair.goes_on().await;
    numbered(&events);
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "started",
            "text",
            "text",
            "text",
            "text",
            "text",
            "tool_call",
            "tool_result",
            "text",
            "text",
            "text",
            "done"
        ]
    );
    assert_eq!(pair.provider.requests().len(), 1, "it was not asked again");
    let after = pair.written().await;
    for (n, event) in before["events"].as_array().unwrap().iter().enumerate() {
        assert_eq!(
            &after["events"][n], event,
            "what was said stands to the byte"
        );
    }
    let view = pair.show().await;
    assert_eq!(view["stop_reason"], "end_turn");
    assert_eq!(view["output"], text(&events));
    assert_eq!(
        (
            &view["usage"]["input_tokens"],
            &view["usage"]["output_tokens"],
            &view["usage"]["estimated"]
        ),
        (&json!(4), &json!(2), &json!(false)),
        "a generation is billed once, as the provider counted it"
    );
    assert_eq!(after["run"]["term"], 2);
    assert_eq!(after["run"]["deaths"], 1);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fuel_and_answers_are_those_of_an_undisturbed_run() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    connect(&client, &provider).await;
    provider.when("what?", Answer::text("two words "));
    let told_of = |run: Value| {
        (
            run["usage"]["fuel"].clone(),
            run["usage"]["host_calls"].clone(),
        )
    };
    let instructions = "say one \nask what?\nspin 100000\nsleep 1000\nspin 5000\nsay last";
    let undisturbed = client.run("journey", &input(instructions)).await;
    let calm = client
        .show("journey", undisturbed[0].data["run"].as_str().unwrap())
        .await;

    let pair = Pair::new(instructions, vec![Answer::text("two words ")], 4).await;
    let events = pair.goes_on().await;
    assert_eq!(told(&events), told(&undisturbed));
    assert_eq!(told_of(pair.show().await), told_of(calm));
    pair.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_in_flight_is_made_again_and_what_it_had_shown_is_withdrawn() {
    let broken = Answer::pieces(&["it ", "breaks ", "off"]).how(How::HangAfter(600));
    let script = vec![Answer::text("first "), broken, Answer::text("whole again")];
    let pair = Pair::new("ask a?\nask b?\nsay !", script, 3).await;
    pair.provider.received(2).await;
    eventually("something of the second is shown", async || {
        pair.written().await["events"].as_array().unwrap().len() >= 3
    })
    .await;
    let shown = pair.written().await["events"].as_array().unwrap().len();
    let events = pair.goes_on().await;
    numbered(&events);
    let retract = events.iter().find(|event| event.kind == "retract").unwrap();
    assert_eq!(
        (retract.data["from"].as_i64(), retract.id as usize),
        (Some(3), shown + 1)
    );
    assert_eq!(
        pair.provider.requests().len(),
        3,
        "only the second was asked again"
    );
    let view = pair.show().await;
    assert_eq!(
        view["output"], "first whole again!",
        "one generation's words"
    );
    let usage = &view["usage"];
    assert_eq!(
        usage["estimated"], true,
        "nobody heard what the lost one cost"
    );
    let counted = pair.provider.counted();
    assert!(
        usage["input_tokens"].as_u64().unwrap() > counted.input,
        "{usage} {counted:?}"
    );
    let intents = &pair.written().await["intents"];
    assert_eq!(
        (&intents[0]["attempt"], &intents[1]["attempt"]),
        (&json!(1), &json!(2))
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_die_again_and_again() {
    let broken = || Answer::pieces(&["half ", "of it"]).how(How::HangAfter(450));
    let script = vec![broken(), broken(), Answer::text("whole")];
    let mut pair = Pair::new("say a \nask b?\nsay !", script, 3).await;
    let shown = async |pair: &Pair, count: usize| {
        eventually("it has shown half of it", async || {
            pair.written().await["events"].as_array().unwrap().len() >= count
        })
        .await;
    };
    shown(&pair, 3).await;
    pair.first_dies().await;
    pair.second.run_jobs().await;
    pair.provider.received(2).await;
    // started, a, half, retract, half.
    shown(&pair, 5).await;
    let third = pair.second.join().await;
    super::dies(&third, pair.second.host().app.runs.node().0).await;
    third.run_jobs().await;
    pair.client = pair.client.at(&third.url());
    let events = pair.events().await;
    assert_eq!(
        told(&events),
        [
            "started",
            "text a ",
            "text half ",
            "retract 3",
            "text half ",
            "retract 5",
            "text whole",
            "text !",
            "done end_turn"
        ]
    );
    let view = pair.show().await;
    assert_eq!(view["output"], "a whole!");
    assert_eq!(pair.written().await["run"]["term"], 3);
    third.stop().await;
    let registry = pair.second.host().app.runs.registry();
    for live in registry.all() {
        live.stop(
            bulkhead::runs::log::StopCause::Deadline,
            pair.first.clock().now(),
        );
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_its_hosts_down_is_not_resumed_for_ever() {
    bulkhead_tests::logs::expect_errors("a run is not resumed");
    let pair = Pair::new("say a\nsleep 60000\nsay b", Vec::new(), 2).await;
    sqlx::query("update runs set deaths = 5, term = 6")
        .execute(pair.second.db())
        .await
        .unwrap();
    let events = pair.goes_on().await;
    assert_eq!(told(&events), ["started", "text a", "done host_error"]);
    let fault = &pair.show().await["fault"];
    assert_eq!(
        fault["message"],
        "the hosts that ran it died one after the other"
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_only_slow_writes_nothing_more() {
    super::expect_fencing();
    let pair = Pair::new("say a\nsleep 60000\nsay b", Vec::new(), 2).await;
    pair.first_dies().await;
    pair.second.run_jobs().await;
    assert_eq!(pair.client.cancel("journey", &pair.run).await.status, 202);
    let written = pair.written().await;
    assert_eq!(
        (&written["run"]["term"], &written["run"]["state"]),
        (&json!(2), &json!("cancelled"))
    );
    pair.first_wakes().await;
    assert_eq!(
        pair.written().await,
        written,
        "an older term writes nothing"
    );
    pair.second.run_jobs().await;
    assert_eq!(
        pair.written().await,
        written,
        "a second round finds nothing to do"
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_outlives_the_host_that_should_have_seen_it() {
    let pair = Pair::new(
        "say a\nask b?\nsleep 60000\nsay c",
        vec![Answer::text("b ")],
        3,
    )
    .await;
    eventually("the generation is recorded", async || {
        pair.written().await["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    })
    .await;
    let now = pair.first.clock().now();
    sqlx::query("update runs set cancel_requested_at = $1")
        .bind(now)
        .execute(pair.second.db())
        .await
        .unwrap();
    let events = pair.goes_on().await;
    assert_eq!(
        told(&events),
        ["started", "text a", "text b ", "done cancelled"]
    );
    let view = pair.show().await;
    assert_eq!(view["state"], "cancelled");
    assert_eq!(view["receipt"]["requested_at"], view["cancel_requested_at"]);
    assert_eq!(view["output"], "ab ");
    assert_eq!(
        view["usage"]["output_tokens"], 1,
        "what its journal knows is billed"
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_a_living_node_are_left_alone() {
    let pair = Pair::new("say a\nsleep 60000\nsay b", Vec::new(), 2).await;
    let written = pair.written().await;
    pair.second.run_jobs().await;
    pair.first.run_jobs().await;
    assert_eq!(pair.written().await, written);
    assert_eq!(pair.show().await["state"], "running");
    pair.client.cancel("journey", &pair.run).await;
    pair.first.run_jobs().await;
    eventually("the run is cancelled", async || {
        pair.show().await["state"] == "cancelled"
    })
    .await;
    assert_eq!(pair.client.cancel("journey", &pair.run).await.status, 200);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_run_of_a_dead_host_is_started() {
    let first = TestHost::start_with(|config| config.runs.concurrent = 1).await;
    first.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = first.client("acme").await;
    let blocking = client.stream("journey", &input("sleep 60000")).await;
    let waiting = client.start("journey", &input("say at last")).await;
    assert_eq!(client.show("journey", &waiting).await["state"], "queued");
    let second = first.join().await;
    super::dies(&second, first.host().app.runs.node().0).await;
    client.cancel("journey", &blocking.run()).await;
    second.run_jobs().await;
    let there = client.at(&second.url());
    let events = there.resume("journey", &waiting, 0).await.rest().await;
    assert_eq!(told(&events), ["started", "text at last", "done end_turn"]);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_goes_on_with_what_it_lost_itself() {
    let host = TestHost::start().await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let client = host.client("acme").await;
    let done = client.run("journey", &input("say a\nsleep 0\nsay b")).await;
    let run = done[0].data["run"].as_str().unwrap().to_owned();
    // As if the end had not been written: the node lives, the row is open, and nothing here runs it.
    for sql in [
        "delete from run_events where kind = 'done'",
        "delete from usage_records",
        "update runs set state = 'running', stop_reason = null, ended_at = null, output = null, receipt = null",
    ] {
        sqlx::query(sql).execute(host.db()).await.unwrap();
    }
    let alive = client.stream("journey", &input("sleep 60000")).await;
    host.run_jobs().await;
    let again = client.resume("journey", &run, 0).await.rest().await;
    assert_eq!(
        told(&again),
        ["started", "text a", "text b", "done end_turn"]
    );
    let other = alive.run();
    assert_eq!(
        client.show("journey", &other).await["state"],
        "running",
        "what runs here is left alone"
    );
    client.cancel("journey", &other).await;
    let _ = tokio::time::timeout(Duration::from_secs(10), alive.rest())
        .await
        .unwrap();
    host.stop().await;
}
