//! API keys and pages: what is shown once, what is refused, who cannot lock themselves out, and lists without gaps.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::HashSet;
use std::time::Duration;

use bulkhead_tests::client::masked;
use bulkhead_tests::{Client, TestHost};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::guests;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_kept_as_a_digest() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let made = client
        .post("/keys", &json!({ "name": "ci", "scopes": ["run", "read"] }))
        .await;
    assert_eq!(made.status, 201);
    let (made, secret) = (
        made.json(),
        made.json()["secret"].as_str().unwrap().to_owned(),
    );
    let mut shown = made.clone();
    shown["secret"] = json!("[secret]");
    insta::assert_json_snapshot!(masked(shown), @r#"
    {
      "created_at": "[time]",
      "id": "[key]",
      "name": "ci",
      "scopes": [
        "run",
        "read"
      ],
      "secret": "[secret]"
    }
    "#);
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        secret.split('_').collect::<Vec<_>>()[..2],
        ["bh", id.strip_prefix("key_").unwrap()]
    );
    let listed = client.get("/keys").await;
    let random = &secret[36..];
    assert!(!listed.text.contains(random), "{}", listed.text);

    // The whole database is searched, byte for byte, and the search finds what is there.
    let dump = dump(&host).await;
    assert!(!dump.contains(random), "the secret is at rest");
    assert!(
        dump.contains(&hex(&Sha256::digest(random))),
        "its digest is not"
    );
    host.stop().await;
}

/// Every row of every table as text; bytes are hexadecimal in it.
async fn dump(host: &TestHost) -> String {
    let tables: Vec<String> = sqlx::query_scalar("select relname::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace")
        .fetch_all(host.db())
        .await
        .unwrap();
    let mut dump = String::new();
    for table in tables {
        let sql = format!("select coalesce(string_agg(t::text, ' '), '') from \"{table}\" t");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(host.db())
            .await
            .unwrap();
        dump.push_str(&rows);
    }
    dump
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_makes_no_sense_is_not_made() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let long = "a".repeat(129);
    let cases = [
        (json!({ "name": "", "scopes": ["read"] }), "/name"),
        (json!({ "name": long, "scopes": ["read"] }), "/name"),
        (json!({ "name": "a\nb", "scopes": ["read"] }), "/name"),
        (json!({ "name": "n", "scopes": [] }), "/scopes"),
        (
            json!({ "name": "n", "scopes": ["read"], "expires_at": "2026-11-20T09:00:00Z" }),
            "/expires_at",
        ),
    ];
    for (body, pointer) in cases {
        let answer = client.post("/keys", &body).await;
        assert_eq!(
            answer.refusal(),
            (422, "unprocessable".to_owned()),
            "{body}"
        );
        assert_eq!(
            answer.json()["errors"][0]["pointer"],
            pointer,
            "{}",
            answer.text
        );
    }
    for body in [
        json!({ "name": "n", "scopes": ["root"] }),
        json!({ "name": "n", "scopes": "read" }),
        json!({ "name": "n", "scopes": ["read"], "expires_at": "tomorrow" }),
        json!({ "name": "n" }),
    ] {
        assert_eq!(
            client.post("/keys", &body).await.refusal(),
            (400, "invalid_json".to_owned()),
            "{body}"
        );
    }
    assert_eq!(
        client.get("/keys").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_takes_effect_at_once_and_never_locks_out() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let made = client
        .post("/keys", &json!({ "name": "second", "scopes": ["admin"] }))
        .await
        .json();
    let path = format!("/keys/{}", made["id"].as_str().unwrap());
    let second = client.with_key(made["secret"].as_str().unwrap());
    assert_eq!(second.get("/keys").await.status, 200);
    let revoked = client.delete(&path).await;
    assert_eq!(revoked.status, 200);
    assert!(revoked.json()["revoked_at"].is_string());
    assert_eq!(
        second.get("/keys").await.refusal(),
        (401, "revoked_key".to_owned())
    );
    host.clock().advance(Duration::from_secs(5));
    assert_eq!(
        client.delete(&path).await.json(),
        revoked.json(),
        "a repeat changes nothing"
    );

    let keys = client.get("/keys").await.json();
    let mut keys = keys["data"].as_array().unwrap().iter();
    let own = keys.find(|key| key["name"] == "first admin key").unwrap()["id"].clone();
    let last = client
        .delete(&format!("/keys/{}", own.as_str().unwrap()))
        .await;
    assert_eq!(last.refusal(), (409, "conflict".to_owned()));
    assert_eq!(client.get("/keys").await.status, 200, "nothing was revoked");
    for unknown in [
        "x",
        "key_00000000000000000000000000000000",
        "run_00000000000000000000000000000000",
    ] {
        assert_eq!(
            client.delete(&format!("/keys/{unknown}")).await.refusal(),
            (404, "not_found".to_owned())
        );
    }
    let foreign = host.client("globex").await;
    assert_eq!(
        foreign
            .delete(&format!("/keys/{}", own.as_str().unwrap()))
            .await
            .status,
        404
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_cannot_revoke_each_other() {
    let host = TestHost::start().await;
    for round in 0..10 {
        let client = host.client(&format!("org-{round}")).await;
        let made = client
            .post("/keys", &json!({ "name": "b", "scopes": ["admin"] }))
            .await
            .json();
        let other = client.with_key(made["secret"].as_str().unwrap());
        let keys = client.get("/keys").await.json();
        let mut keys = keys["data"].as_array().unwrap().iter();
        let first = keys.find(|key| key["id"] != made["id"]).unwrap()["id"].clone();
        let first = first.as_str().unwrap();
        let (one, two) = (
            format!("/keys/{}", made["id"].as_str().unwrap()),
            format!("/keys/{first}"),
        );
        tokio::join!(client.delete(&one), other.delete(&two));
        let left: i64 = sqlx::query_scalar(
            "select count(*) from api_keys k join organizations o on o.id = k.org_id where slug = $1 and revoked_at is null",
        )
        .bind(&client.org)
        .fetch_one(host.db())
        .await
        .unwrap();
        assert_eq!(left, 1, "one of them stays");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_complete_while_rows_come_in() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let mut before: HashSet<String> = ids(&client.get("/keys").await.json());
    for n in 0..11 {
        before.insert(key(&client, n).await);
        if n % 3 == 0 {
            // Several are made at one instant.
            host.clock().advance(Duration::from_millis(1));
        }
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let path = cursor.map_or("/keys?limit=3".to_owned(), |cursor| {
            format!("/keys?limit=3&cursor={cursor}")
        });
        let page = client.get(&path).await.json();
        let rows = page["data"].as_array().unwrap();
        assert!(rows.len() <= 3);
        seen.extend(
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        host.clock().advance(Duration::from_millis(1));
        key(&client, 100 + pages).await;
        cursor = page
            .get("next_cursor")
            .map(|cursor| cursor.as_str().unwrap().to_owned());
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, 4);
    assert_eq!(seen.len(), 12, "no row twice");
    assert_eq!(
        seen.into_iter().collect::<HashSet<_>>(),
        before,
        "and none left out"
    );
    host.stop().await;
}

async fn key(client: &Client, n: i32) -> String {
    let made = client
        .post(
            "/keys",
            &json!({ "name": format!("k{n}"), "scopes": ["read"] }),
        )
        .await;
    made.json()["id"].as_str().unwrap().to_owned()
}

fn ids(page: &Value) -> HashSet<String> {
    page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_good_for_its_own_list_only() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    host.deploy("acme", "other", &guests::ECHO).await;
    let (client, foreign) = (host.client("acme").await, host.client("globex").await);
    for n in 0..3 {
        key(&client, n).await;
        key(&foreign, n).await;
        client.start("echo", &json!({ "input": "x" })).await;
    }
    let cursor_of = async |path: &str| {
        let page = client.get(path).await.json();
        page["next_cursor"]
            .as_str()
            .unwrap_or_else(|| panic!("{path}: {page}"))
            .to_owned()
    };
    let keys = cursor_of("/keys?limit=1").await;
    let runs = cursor_of("/agents/echo/runs?limit=1").await;
    assert_eq!(
        client
            .get(&format!("/keys?limit=2&cursor={keys}"))
            .await
            .status,
        200,
        "the limit may change"
    );
    let mut flipped = keys.clone().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    let refused = [
        (&client, format!("/keys?cursor={runs}")),
        (&client, format!("/agents?cursor={keys}")),
        (&client, format!("/agents/other/runs?cursor={runs}")),
        (
            &client,
            format!("/agents/echo/runs?state=completed&cursor={runs}"),
        ),
        (&client, format!("/agents/echo/versions?cursor={runs}")),
        (
            &client,
            format!("/keys?cursor={}", String::from_utf8(flipped).unwrap()),
        ),
        (&client, format!("/keys?cursor={}", &keys[..keys.len() - 4])),
        (&client, format!("/keys?cursor={keys}AAAA")),
        (&client, "/keys?cursor=".to_owned()),
        (&foreign, format!("/keys?cursor={keys}")),
    ];
    for (client, path) in refused {
        assert_eq!(
            client.get(&path).await.refusal(),
            (400, "invalid_cursor".to_owned()),
            "{path}"
        );
    }
    let elsewhere = host.join().await;
    let there = client
        .at(&elsewhere.url())
        .get(&format!("/keys?cursor={keys}"))
        .await;
    assert_eq!(there.status, 200, "a cursor is good on every node");
    elsewhere.stop().await;
    host.stop().await;
}
