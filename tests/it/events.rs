//! What clients read of a run: the table's bytes, from any place, on any node, at any pace, without gap or duplicate.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use bulkhead_tests::client::{Event, masked, send, stop_reason, text};
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::guests;

/// The run's events as the table holds them: seq, kind, text.
async fn table(host: &TestHost, run: &str) -> Vec<(i32, String, String)> {
    sqlx::query_as("select seq, kind, data::text from run_events where run_id = replace($1, 'run_', '')::uuid order by seq")
        .bind(run)
        .fetch_all(host.db())
        .await
        .unwrap()
}

fn bytes(events: &[Event]) -> Vec<(i32, String, String)> {
    events
        .iter()
        .map(|event| (event.id, event.kind.clone(), event.raw.clone()))
        .collect()
}

async fn open(client: &Client, agent: &str, run: &str, query: &str) -> Response {
    let path = format!("/agents/{agent}/runs/{run}/events{query}");
    client
        .request(Method::GET, &path)
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_resumes_at_every_place() {
    let host = TestHost::start().await;
    host.deploy("acme", "chatter", &guests::CHATTER).await;
    let client = host.client("acme").await;
    let stream = client.stream("chatter", &json!({ "input": "20 3" })).await;
    let run = stream.run();
    let whole = stream.rest().await;
    let table = table(&host, &run).await;
    assert_eq!(
        bytes(&whole),
        table,
        "what was sent is what is there, to the byte"
    );
    assert_eq!(
        table.iter().map(|row| row.0).collect::<Vec<_>>(),
        (1..=22).collect::<Vec<_>>()
    );
    for after in 0..22_i32 {
        let expected = &table[usize::try_from(after).unwrap()..];
        let by_header = client.resume("chatter", &run, after).await.rest().await;
        assert_eq!(bytes(&by_header), expected, "after {after}");
        let by_query = open(&client, "chatter", &run, &format!("?after={after}"))
            .await
            .text()
            .await
            .unwrap();
        let frames: String = expected
            .iter()
            .map(|(seq, kind, data)| format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n"))
            .collect();
        assert_eq!(
            by_query,
            format!(": keep-alive\n\n{frames}"),
            "after {after}"
        );
    }
    let nothing = open(&client, "chatter", &run, "?after=22").await;
    assert_eq!(nothing.status(), 204);
    assert_eq!(nothing.text().await.unwrap(), "");
    // The header is what a browser sends by itself: it goes before the address it was first given.
    let both = client.request(
        Method::GET,
        &format!("/agents/chatter/runs/{run}/events?after=0"),
    );
    let both = send(
        both.header("accept", "text/event-stream")
            .header("last-event-id", "22"),
    )
    .await;
    assert_eq!(both.status, 204);
    for bad in ["x", "-1", "1.5", "2147483648"] {
        let path = format!("/agents/chatter/runs/{run}/events");
        let answer = send(
            client
                .request(Method::GET, &path)
                .header("last-event-id", bad),
        )
        .await;
        assert_eq!(
            answer.refusal(),
            (400, "invalid_request".to_owned()),
            "{bad}"
        );
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_read_on_another_node_while_it_lives() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let other = host.join().await;
    let client = host.client("acme").await;
    let there = client.at(&other.url());
    let mut here = client.stream("sleep", &json!({ "input": "1500" })).await;
    let run = here.run();
    let first = here.next_of("text").await;
    let mut second = there.resume("sleep", &run, 1).await;
    assert_eq!(second.next().await.unwrap(), first, "what was said before");
    let (rest_here, rest_there) = tokio::join!(here.rest(), second.rest());
    assert_eq!(rest_here, rest_there, "and what is said while it reads");
    assert_eq!(stop_reason(&rest_there), "end_turn");
    assert!(
        there
            .resume("sleep", &run, rest_there.last().unwrap().id)
            .await
            .is_empty()
    );
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bytes_come_before_the_first_event() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let mut events = client.stream("sleep", &json!({ "input": "60000" })).await;
    let run = events.run();
    events.next_of("text").await;
    let mut quiet = open(&client, "sleep", &run, "?after=2").await;
    assert_eq!(quiet.headers()["content-type"], "text/event-stream");
    assert_eq!(quiet.headers()["cache-control"], "no-store");
    let first = tokio::time::timeout(Duration::from_secs(5), quiet.chunk())
        .await
        .expect("at once")
        .unwrap();
    assert_eq!(first.unwrap(), ": keep-alive\n\n");
    drop(quiet);
    // A reader that leaves stops nothing.
    assert_eq!(client.show("sleep", &run).await["state"], "running");
    client.cancel("sleep", &run).await;
    assert_eq!(stop_reason(&events.rest().await), "cancelled");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_gets_everything_later() {
    let host = TestHost::start_with(|config| config.sandbox.limits.output_bytes = 64 << 20).await;
    host.deploy("acme", "chatter", &guests::CHATTER).await;
    let client = host.client("acme").await;
    // More events than a listener may lag, more bytes than the sockets hold.
    let slow = client
        .stream("chatter", &json!({ "input": "1200 9000" }))
        .await;
    let run = slow.run();
    eventually("the run ends whoever reads", async || {
        client.show("chatter", &run).await["state"] == "completed"
    })
    .await;
    let events = slow.rest().await;
    assert_eq!(bytes(&events), table(&host, &run).await);
    assert_eq!(events.len(), 1_202);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_readers_read_the_same() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let events = client.stream("sleep", &json!({ "input": "700" })).await;
    let run = events.run();
    let readers = (0..20).map(|n| {
        let (client, run) = (client.clone(), run.clone());
        async move { client.resume("sleep", &run, n % 2).await.rest().await }
    });
    let (whole, read) = tokio::join!(events.rest(), futures_util::future::join_all(readers));
    for (n, events) in read.iter().enumerate() {
        assert_eq!(events[..], whole[n % 2..], "reader {n}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_says_what_it_said() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let said = "\"quoted\" back\\slash\r\nline\ttab {\"json\": [1]} ünï 🦀👩‍🚀 \u{2028}\u{2029}\u{202e}\u{feff} \u{1b}[31m \0 data: x\n\nid: 9";
    let stream = client
        .stream(
            "echo",
            &json!({ "input": said, "metadata": { "a\0b": "\0" } }),
        )
        .await;
    let run = stream.run();
    let events = stream.rest().await;
    let expected = said.replace('\0', "\u{fffd}");
    assert_eq!(events.len(), 3, "no text ends a frame");
    assert_eq!(text(&events), expected);
    assert_eq!(bytes(&events), table(&host, &run).await);
    let view = client.show("echo", &run).await;
    assert_eq!(
        (view["output"].clone(), view["metadata"].clone()),
        (json!(expected), json!({ "a\0b": "\0" }))
    );
    let page = client
        .get(&format!("/agents/echo/runs/{run}/events"))
        .await
        .json();
    assert_eq!(page["data"][1]["data"], json!({ "text": expected }));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_steps_are_json_too() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let events = client.stream("sleep", &json!({ "input": "1" })).await;
    let run = events.run();
    events.rest().await;
    let list = async |what: &str| {
        client
            .get(&format!("/agents/sleep/runs/{run}/{what}"))
            .await
            .json()
    };
    let kinds: Vec<Value> = list("events").await["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert_eq!(kinds, ["started", "text", "text", "done"]);
    let rest = list("events?after=2").await;
    assert_eq!(
        rest["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["seq"].clone())
            .collect::<Vec<_>>(),
        [3, 4]
    );
    let mut step = masked(list("steps").await["data"][0].clone());
    step["response"] = json!("[answer]");
    insta::assert_json_snapshot!(step, @r#"
    {
      "ended_at": "[time]",
      "fuel_before": "[measure]",
      "kind": "clock.sleep",
      "request": {
        "milliseconds": 1
      },
      "response": "[answer]",
      "seq": 1,
      "started_at": "[time]",
      "status": "ok"
    }
    "#);
    assert_eq!(list("steps?after=1").await, json!({ "data": [] }));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_started_and_waited_for() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let waited = client
        .post("/agents/echo/runs?wait=30", &json!({ "input": "x" }))
        .await;
    assert_eq!(
        (waited.status.as_u16(), waited.json()["output"].clone()),
        (200, json!("x"))
    );
    let location = waited.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(
        location,
        format!(
            "/v1/orgs/acme/agents/echo/runs/{}",
            waited.json()["id"].as_str().unwrap()
        )
    );
    assert_eq!(client.get(&location).await.json(), waited.json());
    let too_short = client
        .post("/agents/sleep/runs?wait=1", &json!({ "input": "60000" }))
        .await;
    assert_eq!(
        (too_short.status.as_u16(), too_short.json()["state"].clone()),
        (202, json!("running"))
    );
    let run = too_short.json()["id"].as_str().unwrap().to_owned();
    client.cancel("sleep", &run).await;
    for wait in ["0", "61", "x"] {
        let refused = client
            .post(
                &format!("/agents/echo/runs?wait={wait}"),
                &json!({ "input": "x" }),
            )
            .await;
        assert_eq!(
            refused.refusal(),
            (400, "invalid_request".to_owned()),
            "{wait}"
        );
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_by_what_they_came_to() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let client = host.client("acme").await;
    let mut ids = Vec::new();
    for input in ["0", "60000", "0"] {
        let stream = client.stream("sleep", &json!({ "input": input })).await;
        let run = stream.run();
        if input != "0" {
            client.cancel("sleep", &run).await;
        }
        stream.rest().await;
        ids.push(run);
        host.clock().advance(Duration::from_secs(60));
    }
    let list = async |query: &str| -> Vec<String> {
        let page = client
            .get(&format!("/agents/sleep/runs{query}"))
            .await
            .json();
        let rows = page["data"]
            .as_array()
            .unwrap_or_else(|| panic!("{query}: {page}"));
        rows.iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let of = |places: &[usize]| {
        places
            .iter()
            .map(|place| ids[*place].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(list("").await, of(&[2, 1, 0]), "newest first");
    assert_eq!(list("?state=cancelled").await, of(&[1]));
    assert_eq!(list("?stop_reason=end_turn").await, of(&[2, 0]));
    assert_eq!(list("?version=1&state=completed").await, of(&[2, 0]));
    assert_eq!(list("?version=2").await, of(&[]));
    assert_eq!(list("?from=2026-11-20T09:01:00Z").await, of(&[2, 1]));
    assert_eq!(list("?to=2026-11-20T09:01:00Z").await, of(&[0]));
    assert_eq!(
        list("?from=2026-11-20T09:01:00Z&to=2026-11-20T09:02:00Z").await,
        of(&[1])
    );
    let page = client
        .get("/agents/sleep/runs?state=completed&limit=1")
        .await
        .json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(
        list(&format!("?state=completed&limit=1&cursor={cursor}")).await,
        of(&[0])
    );
    host.stop().await;
}

/// A seq that no event ever had is no place to go on from, whether the run lives or has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_does_not_resume_beyond_the_log() {
    let host = TestHost::start().await;
    host.deploy("acme", "sleep", &guests::SLEEP).await;
    let other = host.join().await;
    let client = host.client("acme").await;
    let mut events = client.stream("sleep", &json!({ "input": "60000" })).await;
    let run = events.run();
    events.next_of("text").await;
    let refused = async |after: &str, last: i32| {
        let path = format!("/agents/sleep/runs/{run}/events");
        for (client, accept) in [
            (client.clone(), "text/event-stream"),
            (client.clone(), "application/json"),
            (client.at(&other.url()), "text/event-stream"),
        ] {
            let request = client.request(Method::GET, &path).header("accept", accept);
            let answer = send(request.header("last-event-id", after)).await;
            assert_eq!(answer.refusal(), (422, "no_such_event".to_owned()));
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.contains(&format!("last event is {last}, and {after} is")),
                "{detail}"
            );
        }
    };
    refused("3", 2).await;
    refused("2147483647", 2).await;
    client.cancel("sleep", &run).await;
    assert_eq!(stop_reason(&events.rest().await), "cancelled");
    assert!(client.resume("sleep", &run, 3).await.is_empty());
    assert!(
        client
            .at(&other.url())
            .resume("sleep", &run, 3)
            .await
            .is_empty()
    );
    refused("4", 3).await;
    refused("2147483647", 3).await;
    other.stop().await;
    host.stop().await;
}
