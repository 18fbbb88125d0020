//! Promote, canary and rollback: what each leaves behind, and what is refused and changes nothing.

use std::time::Duration;

use bulkhead_tests::TestHost;
use bulkhead_tests::receiver::Receiver;
use serde_json::{Value, json};

use super::{channels, taken, verb, versions};

#[tokio::test(flavor = "multi_thread")]
async fn each_is_a_row_an_action_and_an_event() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 3).await;
    let receiver = Receiver::start().await;
    let events = [
        "agent_channel.promoted",
        "agent_channel.canary_updated",
        "agent_channel.rolled_back",
    ];
    let endpoint = json!({ "url": receiver.url("/"), "events": events });
    let made = client.post("/webhook-endpoints", &endpoint).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let null = Value::Null;
    let steps = [
        (
            "canary",
            json!({"version": 2, "weight": 0.25}),
            (json!(1), json!(2), json!(0.25), null.clone()),
        ),
        (
            "canary",
            json!({"version": 2, "weight": 1}),
            (json!(1), json!(2), json!(1.0), null.clone()),
        ),
        (
            "promote",
            json!({"version": 2}),
            (json!(2), null.clone(), null.clone(), json!(1)),
        ),
        (
            "promote",
            json!({"version": 3}),
            (json!(3), null.clone(), null.clone(), json!(2)),
        ),
        (
            "canary",
            json!({"version": 1, "weight": 0.5}),
            (json!(3), json!(1), json!(0.5), json!(2)),
        ),
        (
            "rollback",
            json!({"channel": "canary"}),
            (json!(3), null.clone(), null.clone(), json!(2)),
        ),
        (
            "rollback",
            json!({}),
            (json!(2), null.clone(), null.clone(), json!(1)),
        ),
        (
            "rollback",
            json!({}),
            (json!(1), null.clone(), null.clone(), null.clone()),
        ),
    ];
    let mut expected = vec!["promoted".to_owned()];
    for (word, body, after) in &steps {
        host.clock().advance(Duration::from_secs(1));
        let moved = verb(&client, "echo", word, body.clone()).await;
        assert_eq!(moved.status, 200, "{word} {body}: {}", moved.text);
        assert_eq!(channels(&client, "echo").await, *after, "{word} {body}");
        // This host follows at once.
        let (version, channel) =
            taken(&client, "echo", json!({"input": "x", "channel": "stable"})).await;
        assert_eq!(
            (json!(version), channel),
            (after.0.clone(), json!("stable"))
        );
        let action = match *word {
            "canary" => "canary_updated",
            "rollback" => "rolled_back",
            _ => "promoted",
        };
        expected.push(action.to_owned());
        let row = client.get("/audit/actions?limit=1").await.json()["data"][0].clone();
        assert_eq!(row["action"], json!(format!("agent_channel.{action}")));
        assert!(
            row["target"]["id"].as_str().unwrap().starts_with("echo/"),
            "{row}"
        );
        host.run_jobs().await;
    }
    expected.reverse();
    let (mut seen, mut path) = (
        Vec::new(),
        "/agents/echo/channels/history?limit=4".to_owned(),
    );
    loop {
        let page = client.get(&path).await.json();
        seen.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => path = format!("/agents/echo/channels/history?limit=4&cursor={next}"),
            None => break,
        }
    }
    let actions: Vec<_> = seen
        .iter()
        .map(|row| row["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(actions, expected);
    assert_eq!(
        (&seen[0]["version"], &seen[0]["previous"]),
        (&json!(1), &json!(2))
    );
    assert!(seen.iter().all(|row| row["by"].is_string()));
    receiver.arrived(steps.len()).await;
    let told = receiver.topics().len();
    assert_eq!(told, steps.len());
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_move_is_one_clear_error_and_moves_nothing() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    versions(&client, "echo", 2).await;
    client.upload("bare", &crate::guests::ECHO.bytes()).await;
    let before = channels(&client, "echo").await;
    let unprocessable = (422, "unprocessable");
    let cases = [
        (
            "echo",
            "canary",
            json!({"version": 2, "weight": 0}),
            unprocessable,
            "more than 0",
        ),
        (
            "echo",
            "canary",
            json!({"version": 2, "weight": 1.1}),
            unprocessable,
            "at most 1",
        ),
        (
            "echo",
            "canary",
            json!({"version": 2, "weight": -0.5}),
            unprocessable,
            "more than 0",
        ),
        (
            "echo",
            "canary",
            json!({"version": 2}),
            (400, "invalid_json"),
            "weight",
        ),
        (
            "echo",
            "canary",
            json!({"version": 1, "weight": 0.5}),
            (409, "conflict"),
            "is stable",
        ),
        (
            "echo",
            "canary",
            json!({"version": 9, "weight": 0.5}),
            (404, "not_found"),
            "version",
        ),
        (
            "echo",
            "promote",
            json!({"version": 9}),
            (404, "not_found"),
            "version",
        ),
        (
            "echo",
            "promote",
            json!({"version": 0}),
            (404, "not_found"),
            "version",
        ),
        (
            "echo",
            "rollback",
            json!({}),
            (409, "no_previous_version"),
            "promote the version",
        ),
        (
            "echo",
            "rollback",
            json!({"channel": "canary"}),
            (409, "no_canary"),
            "weight",
        ),
        (
            "echo",
            "rollback",
            json!({"channel": "beta"}),
            (400, "invalid_json"),
            "beta",
        ),
        (
            "bare",
            "canary",
            json!({"version": 1, "weight": 0.5}),
            (409, "no_stable_version"),
            "promote",
        ),
        (
            "bare",
            "rollback",
            json!({}),
            (409, "no_stable_version"),
            "promote",
        ),
        (
            "nobody",
            "promote",
            json!({"version": 1}),
            (404, "not_found"),
            "agent",
        ),
    ];
    for (agent, word, body, (status, code), says) in cases {
        let refused = verb(&client, agent, word, body.clone()).await;
        assert_eq!(
            refused.refusal(),
            (status, code.to_owned()),
            "{word} {body}"
        );
        assert!(
            refused.text.contains(says),
            "{word} {body}: {}",
            refused.text
        );
    }
    assert_eq!(channels(&client, "echo").await, before);
    let history = client.get("/agents/echo/channels/history").await.json();
    assert_eq!(history["data"].as_array().unwrap().len(), 1);
    let run = client
        .post(
            "/agents/echo/runs",
            &json!({"input": "x", "channel": "canary"}),
        )
        .await;
    assert_eq!(run.refusal(), (409, "no_canary".to_owned()));
    let run = client
        .post(
            "/agents/echo/runs",
            &json!({"input": "x", "channel": "beta"}),
        )
        .await;
    assert_eq!(run.json()["errors"][0]["pointer"], json!("/channel"));
    let foreign = host.client("globex").await;
    let theirs = foreign
        .post("/agents/echo/promote", &json!({"version": 2}))
        .await;
    assert_eq!(theirs.refusal(), (404, "not_found".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_at_one_time_take_turns() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let other = host.join().await;
    versions(&client, "echo", 4).await;
    let moves = (0..24_i64).map(|n| {
        let client = client.at(&if n % 2 == 0 { host.url() } else { other.url() });
        async move { verb(&client, "echo", "promote", json!({"version": 1 + n % 4})).await }
    });
    let mut done = 0;
    for answer in futures_util::future::join_all(moves).await {
        match answer.status.as_u16() {
            200 => done += 1,
            _ => assert_eq!(answer.refusal(), (409, "conflict".to_owned())),
        }
    }
    assert!(done > 0);
    let page = client
        .get("/agents/echo/channels/history?limit=200")
        .await
        .json();
    let rows = page["data"].as_array().unwrap();
    assert_eq!(rows.len(), done + 1, "a row for each that was done");
    // Whoever rolls back goes the whole way they came.
    let mut stable = channels(&client, "echo").await.0;
    loop {
        let back = channels(&client, "echo").await.3;
        let rolled = verb(&client, "echo", "rollback", json!({})).await;
        if back.is_null() {
            assert_eq!(rolled.refusal(), (409, "no_previous_version".to_owned()));
            break;
        }
        assert_eq!(rolled.status, 200, "{}", rolled.text);
        stable = rolled.json()["stable"]["version"].clone();
        assert_eq!(stable, back);
    }
    assert_eq!(stable, json!(1));
    other.stop().await;
    host.stop().await;
}
