//! What is refused: a second run at one time, another's conversation, a request that contradicts it.

use bulkhead_tests::TestHost;
use bulkhead_tests::host::eventually;
use serde_json::{Value, json};

use super::{ask, said};
use crate::audit::key;
use crate::guests::{ECHO, SPIN};

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time_over_two_hosts() {
    let host = TestHost::start().await;
    host.deploy("acme", "spin", &SPIN).await;
    let client = host.client("acme").await;
    let other = host.join().await;
    let conversation = client.converse("spin").await;
    let body = json!({ "input": "x", "conversation_id": conversation });
    let starts = (0..8).map(|n| {
        let client = client.at(&if n % 2 == 0 { host.url() } else { other.url() });
        let body = body.clone();
        async move { client.post("/agents/spin/runs", &body).await }
    });
    let mut begun = Vec::new();
    let mut refused = Vec::new();
    for answer in futures_util::future::join_all(starts).await {
        match answer.status.as_u16() {
            202 => begun.push(answer.json()["id"].as_str().unwrap().to_owned()),
            _ => refused.push(answer),
        }
    }
    assert_eq!(begun.len(), 1, "one begins");
    for answer in &refused {
        assert_eq!(answer.refusal(), (409, "conversation_busy".to_owned()));
    }
    // Once it is there, it is named.
    let later = client.post("/agents/spin/runs", &body).await;
    assert_eq!(later.refusal(), (409, "conversation_busy".to_owned()));
    assert_eq!(later.json()["run"], json!(begun[0]));
    assert_eq!(client.cancel("spin", &begun[0]).await.status, 202);
    assert_eq!(said(&client, "spin", &conversation).await.len(), 2);
    eventually("nothing is left of those that were refused", async || {
        host.host().app.runs.registry().is_empty() && other.host().app.runs.registry().is_empty()
    })
    .await;
    other.stop().await;
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_and_unknown_ones_are_not_found() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &ECHO).await;
    host.deploy("acme", "echo2", &ECHO).await;
    host.deploy("globex", "echo", &ECHO).await;
    let client = host.client("acme").await;
    let conversation = client.converse("echo").await;
    ask(&client, "echo", &conversation, "mine").await;
    let (colleague, _) = key(&client, &["read", "run"]).await;
    let foreign = host.client("globex").await;
    let unknown = "conv_00000000000000000000000000000000";
    let cases = [
        (&colleague, "echo", conversation.as_str()),
        (&foreign, "echo", conversation.as_str()),
        (&client, "echo2", conversation.as_str()),
        (&client, "echo", unknown),
        (&client, "nobody", conversation.as_str()),
    ];
    for (client, agent, id) in cases {
        let path = format!("/agents/{agent}/conversations/{id}");
        let what = format!("{agent} {id}");
        let not_found = (404, "not_found".to_owned());
        assert_eq!(client.get(&path).await.refusal(), not_found, "{what}");
        assert_eq!(
            client.get(&format!("{path}/messages")).await.refusal(),
            not_found,
            "{what}"
        );
        assert_eq!(client.delete(&path).await.refusal(), not_found, "{what}");
        let body = json!({ "input": "x", "conversation_id": id });
        let run = client.post(&format!("/agents/{agent}/runs"), &body).await;
        assert_eq!(run.refusal(), not_found, "{what}");
    }
    let listed = colleague.get("/agents/echo/conversations").await.json();
    assert_eq!(listed["data"], json!([]));
    let body = json!({ "input": "x", "conversation_id": "run_1" });
    let run = client.post("/agents/echo/runs", &body).await;
    assert_eq!(run.refusal(), (400, "invalid_json".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_lists_and_archives_those_of_all_keys_and_reads_none() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &ECHO).await;
    let client = host.client("acme").await;
    let (colleague, _) = key(&client, &["read", "run"]).await;
    let conversation = colleague.converse("echo").await;
    ask(&colleague, "echo", &conversation, "mine").await;
    let listed = client.get("/agents/echo/conversations").await.json();
    assert_eq!(listed["data"][0]["id"], json!(conversation));
    let path = format!("/agents/echo/conversations/{conversation}");
    let messages = client.get(&format!("{path}/messages")).await;
    assert_eq!(messages.refusal(), (404, "not_found".to_owned()));
    assert_eq!(client.delete(&path).await.status, 204);
    let listed = client.get("/agents/echo/conversations").await.json();
    assert_eq!(listed["data"], json!([]));
    assert_ne!(
        colleague.get(&path).await.json()["archived_at"],
        Value::Null
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_it_is_refused_and_loses_nothing() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &ECHO).await;
    let client = host.client("acme").await;
    let conversation = client.converse("echo").await;
    ask(&client, "echo", &conversation, "first").await;
    client.upload("echo", &SPIN.bytes()).await;
    let cases = [
        (
            json!({ "input": [{"role": "user", "text": "a"}, {"role": "user", "text": "b"}] }),
            "/input",
        ),
        (json!({ "input": "x", "version": 2 }), "/version"),
        (json!({ "input": "x", "channel": "stable" }), "/channel"),
    ];
    for (mut body, field) in cases {
        body["conversation_id"] = json!(conversation);
        let answer = client.post("/agents/echo/runs", &body).await;
        assert_eq!(
            answer.refusal(),
            (422, "input_refused".to_owned()),
            "{body}"
        );
        assert_eq!(answer.json()["errors"][0]["pointer"], json!(field));
    }
    let path = format!("/agents/echo/conversations/{conversation}");
    for _ in 0..2 {
        assert_eq!(
            client.delete(&path).await.status,
            204,
            "a repeat is a no-op"
        );
    }
    let first = client.get(&path).await.json()["archived_at"].clone();
    assert_ne!(first, Value::Null);
    let body = json!({ "input": "x", "conversation_id": conversation });
    let archived = client.post("/agents/echo/runs", &body).await;
    assert_eq!(
        archived.refusal(),
        (409, "conversation_archived".to_owned())
    );
    let listed = client.get("/agents/echo/conversations").await.json();
    assert_eq!(listed["data"], json!([]));
    assert_eq!(said(&client, "echo", &conversation).await.len(), 2);
    host.stop().await;
}
