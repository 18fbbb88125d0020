//! The routes of knowledge, over real HTTP: what each answers, to whom, and what it refuses.

use bulkhead_tests::client::Client;
use bulkhead_tests::host::TestHost;
use serde_json::{Value, json};

const ENTRIES: &str = "/knowledge/entries";
const SEARCH: &str = "/knowledge/search";

/// Status and code of a refusal.
async fn refused(client: &Client, path: &str, body: Value) -> (u16, String) {
    let answer = client.post(path, &body).await;
    let problem: Value = serde_json::from_str(&answer.text).expect("a problem is JSON");
    (
        answer.status.as_u16(),
        problem["code"].as_str().unwrap_or_default().into(),
    )
}

async fn found(client: &Client, text: &str) -> Value {
    let answer = client.post(SEARCH, &json!({"text": text})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    serde_json::from_str(&answer.text).expect("hits are JSON")
}

#[tokio::test]
async fn an_entry_is_put_found_read_and_deleted() {
    let host = TestHost::start().await;
    let client = host.client("org-a").await;
    let body = json!({"content": "# Parrots\n\nThe parrot eats walnuts.", "tags": ["b", "a", "b"], "source": "p.md"});
    let made = client.post(ENTRIES, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let entry: Value = serde_json::from_str(&made.text).expect("an entry is JSON");
    assert_eq!(entry["title"], "Parrots");
    assert_eq!(entry["tags"], json!(["a", "b"]));
    assert_eq!(
        (&entry["changed"], &entry["type"]),
        (&json!(true), &json!("note"))
    );
    let again = client.post(ENTRIES, &body).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert!(again.text.contains("\"changed\":false"), "{}", again.text);

    let hits = found(&client, "what does the parrot eat??").await;
    assert_eq!(hits["ranking"], "lexical");
    assert_eq!(hits["data"][0]["entry"], entry["id"]);
    assert_eq!(hits["data"][0]["source"], "p.md");
    let stranger = host.client("org-b").await;
    assert_eq!(found(&stranger, "parrot").await["data"], json!([]));

    let path = format!("{ENTRIES}/{}", entry["id"].as_str().expect("it has an id"));
    let read = client.get(&path).await;
    assert_eq!(read.status, 200);
    assert!(read.text.contains("eats walnuts"), "{}", read.text);
    assert_eq!(stranger.get(&path).await.status, 404);
    assert_eq!(stranger.delete(&path).await.status, 404);
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.delete(&path).await.status, 404);
    assert_eq!(client.get(&format!("{ENTRIES}/entry_1")).await.status, 404);
    assert_eq!(found(&client, "parrot").await["data"], json!([]));
    host.stop().await;
}

#[tokio::test]
async fn another_host_finds_it_at_once() {
    let host = TestHost::start().await;
    let other = host.join().await;
    let client = host.client("org-a").await;
    let there = client.at(&other.url());
    for word in ["walnut", "almond", "cashew"] {
        let body = json!({"content": format!("The {word}."), "source": "nuts.md"});
        client.post(ENTRIES, &body).await;
        assert_eq!(
            found(&there, word).await["data"].as_array().map(Vec::len),
            Some(1)
        );
    }
    assert_eq!(found(&there, "walnut").await["data"], json!([]));
    other.stop().await;
    host.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_one_clear_problem() {
    let host = TestHost::start().await;
    let client = host.client("org-a").await;
    let long = "x".repeat(70_000);
    let cases = [
        (ENTRIES, json!({"content": "a\0b"}), (422, "unprocessable")),
        (ENTRIES, json!({"content": " \n"}), (422, "unprocessable")),
        (ENTRIES, json!({"content": long}), (422, "unprocessable")),
        (
            ENTRIES,
            json!({"content": long.repeat(4)}),
            (413, "too_large"),
        ),
        (
            ENTRIES,
            json!({"content": "x", "html": true}),
            (400, "invalid_json"),
        ),
        (ENTRIES, json!({"content": 1}), (400, "invalid_json")),
        (SEARCH, json!({"text": ""}), (422, "unprocessable")),
        (
            SEARCH,
            json!({"text": "x".repeat(4097)}),
            (422, "unprocessable"),
        ),
        (
            SEARCH,
            json!({"text": "x", "limit": 33}),
            (422, "unprocessable"),
        ),
        (
            SEARCH,
            json!({"text": "x", "limit": -1}),
            (400, "invalid_json"),
        ),
    ];
    for (path, body, expected) in cases {
        let (status, code) = refused(&client, path, body).await;
        assert_eq!((status, code.as_str()), expected);
    }
    for query in ["limit=0", "limit=201", "cursor=abc", "tag=%00", "nope=1"] {
        assert_eq!(
            client.get(&format!("{ENTRIES}?{query}")).await.status,
            400,
            "{query}"
        );
    }
    let listed = client.get(ENTRIES).await;
    assert_eq!(listed.text, r#"{"data":[]}"#);
    host.stop().await;
}
