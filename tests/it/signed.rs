//! Signed versions: who may sign, what is refused before anything is compiled, what is asked of an organization's uploads.

use bulkhead::agents::signed::{HEADER, message};
use bulkhead_tests::client::{Answer, send};
use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use ed25519_dalek::{Signer as _, SigningKey};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::program::ended;
use crate::cli::verbs::{as_client, document};
use crate::guests::{ECHO, SPIN};

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn sign(key: &SigningKey, bytes: &[u8]) -> String {
    let message = message(&Sha256::digest(bytes).into());
    hex::encode(key.sign(message.as_bytes()).to_bytes())
}

async fn add(client: &Client, key: &SigningKey) -> Answer {
    let public = hex::encode(key.verifying_key().to_bytes());
    let new = json!({ "name": "release", "public_key": public });
    client.post("/publisher-keys", &new).await
}

async fn upload(client: &Client, bytes: &[u8], signature: Option<&str>) -> Answer {
    let request = client.request(Method::POST, "/agents/agent/versions");
    let mut request = request
        .header("content-type", "application/wasm")
        .body(bytes.to_vec());
    if let Some(signature) = signature {
        request = request.header(HEADER, signature);
    }
    send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_is_checked_where_there_is_one_and_asked_for_where_it_is_required() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let (echo, spin) = (ECHO.bytes(), SPIN.bytes());
    // Nobody may sign: a signature is no one's, and none can be required.
    let signed = upload(&client, &echo, Some(&sign(&key(1), &echo))).await;
    assert_eq!(signed.refusal(), (422, "signature_refused".to_owned()));
    assert!(signed.text.contains("publishers add"), "{}", signed.text);
    let required = client
        .put("/signature-policy", &json!({ "required": true }))
        .await;
    assert_eq!(required.refusal(), (409, "conflict".to_owned()));

    let added = add(&client, &key(1)).await;
    assert_eq!(added.status, 201, "{}", added.text);
    let publisher = added.json()["id"].clone();
    let again = add(&client, &key(1)).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["id"]),
        (200, &publisher)
    );
    assert_eq!(
        client
            .put("/signature-policy", &json!({ "required": true }))
            .await
            .status,
        200
    );

    let bad = [
        (None, "signature_required"),
        (Some(sign(&key(2), &echo)), "signature_refused"),
        (Some(sign(&key(1), &spin)), "signature_refused"),
        (Some("ab".to_owned()), "signature_refused"),
        (Some("00".repeat(64)), "signature_refused"),
        (
            Some(format!("{}0", &sign(&key(1), &echo)[..127])),
            "signature_refused",
        ),
    ];
    for (signature, code) in bad {
        // One digit in sixteen is right by chance.
        if signature.as_deref() == Some(&sign(&key(1), &echo)) {
            continue;
        }
        let refused = upload(&client, &echo, signature.as_deref()).await;
        assert_eq!(refused.refusal(), (422, code.to_owned()), "{signature:?}");
    }
    assert_eq!(
        client.get("/agents/agent").await.status,
        404,
        "nothing was written"
    );
    let taken = upload(&client, &echo, Some(&sign(&key(1), &echo))).await;
    assert_eq!(
        (taken.status.as_u16(), &taken.json()["signed_by"]),
        (201, &publisher)
    );
    let shown = client.get("/agents/agent/versions/1").await.json();
    assert_eq!(shown["signed_by"], publisher);
    // Another organization asks for nothing, and its neighbour's publisher is nobody there.
    let foreign = host.client("globex").await;
    assert_eq!(upload(&foreign, &echo, None).await.status, 201);
    let theirs = upload(&foreign, &spin, Some(&sign(&key(1), &spin))).await;
    assert_eq!(theirs.refusal(), (422, "signature_refused".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_signs_no_more_and_the_last_one_stays_while_it_is_needed() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let (echo, spin) = (ECHO.bytes(), SPIN.bytes());
    let first = add(&client, &key(1)).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        upload(&client, &echo, Some(&sign(&key(1), &echo)))
            .await
            .status,
        201
    );
    client
        .put("/signature-policy", &json!({ "required": true }))
        .await;
    let path = format!("/publisher-keys/{first}");
    assert_eq!(
        client.delete(&path).await.refusal(),
        (409, "conflict".to_owned())
    );
    add(&client, &key(2)).await;
    let revoked = client.delete(&path).await;
    assert_ne!(
        revoked.json()["revoked_at"],
        Value::Null,
        "{}",
        revoked.text
    );
    assert_eq!(
        client.delete(&path).await.json(),
        revoked.json(),
        "a repeat is a no-op"
    );
    let refused = upload(&client, &spin, Some(&sign(&key(1), &spin))).await;
    assert_eq!(refused.refusal(), (422, "signature_refused".to_owned()));
    // What it signed stays.
    let shown = client.get("/agents/agent/versions/1").await.json();
    assert_eq!(shown["signed_by"], json!(first));
    assert_eq!(
        upload(&client, &spin, Some(&sign(&key(2), &spin)))
            .await
            .status,
        201
    );
    let listed = client.get("/publisher-keys").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    for (name, public) in [
        ("", "00"),
        ("n", "zz"),
        ("n", &"00".repeat(32)),
        ("n", &"01".repeat(31)),
    ] {
        let new = json!({ "name": name, "public_key": public });
        let refused = client.post("/publisher-keys", &new).await;
        assert_eq!(
            refused.refusal(),
            (422, "unprocessable".to_owned()),
            "{public}"
        );
    }
    let (reader, _) = crate::audit::key(&client, &["read", "deploy"]).await;
    assert_eq!(add(&reader, &key(3)).await.status, 403);
    let unknown = client
        .delete("/publisher-keys/pub_00000000000000000000000000000000")
        .await;
    assert_eq!(unknown.refusal(), (404, "not_found".to_owned()));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_there_is_signed_by_uploading_it_again() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let echo = ECHO.bytes();
    assert_eq!(
        upload(&client, &echo, None).await.json()["signed_by"],
        Value::Null
    );
    let publisher = add(&client, &key(1)).await.json()["id"].clone();
    let signed = upload(&client, &echo, Some(&sign(&key(1), &echo))).await;
    assert_eq!(
        (signed.status.as_u16(), &signed.json()["signed_by"]),
        (200, &publisher)
    );
    let row = client.get("/audit/actions?limit=1").await.json()["data"][0].clone();
    assert_eq!(row["action"], "agent_version.signed");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsigned_version_is_pointed_at_no_more_where_signatures_are_required() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let (echo, spin) = (ECHO.bytes(), SPIN.bytes());
    for bytes in [&echo, &spin] {
        assert_eq!(upload(&client, bytes, None).await.status, 201);
    }
    let point = async |verb: &str, body: Value| {
        let path = format!("/agents/agent/{verb}");
        client.post(&path, &body).await
    };
    assert_eq!(point("promote", json!({"version": 1})).await.status, 200);
    add(&client, &key(1)).await;
    client
        .put("/signature-policy", &json!({ "required": true }))
        .await;
    for (verb, body) in [
        ("promote", json!({"version": 2})),
        ("canary", json!({"version": 2, "weight": 0.1})),
    ] {
        let refused = point(verb, body).await;
        assert_eq!(refused.refusal(), (422, "signature_required".to_owned()));
        let says = "upload the same bytes with a signature (`bulkhead deploy agent FILE";
        assert!(refused.text.contains(says), "{}", refused.text);
    }
    let stable = json!({"version": 2});
    let put = client.put("/agents/agent/channels/stable", &stable).await;
    assert_eq!(put.refusal(), (422, "signature_required".to_owned()));
    // What is stable stays so, and what was signed since is taken.
    assert_eq!(point("promote", json!({"version": 1})).await.status, 200);
    let signed = upload(&client, &spin, Some(&sign(&key(1), &spin))).await;
    assert_eq!(signed.status, 200, "{}", signed.text);
    assert_eq!(point("promote", json!({"version": 2})).await.status, 200);
    // The way back is not barred.
    let back = point("rollback", json!({"channel": "stable"})).await;
    assert_eq!(back.json()["stable"]["version"], 1, "{}", back.text);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_makes_keys_and_signs() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let folder = Folder::new();
    let (wasm, key) = (folder.join("agent.wasm"), folder.join("release.key"));
    std::fs::write(&wasm, ECHO.bytes()).unwrap();
    let (wasm, key) = (wasm.to_str().unwrap(), key.to_str().unwrap());
    let made = document(&host, &client, &["publishers", "keygen", key]).await;
    let added = document(
        &host,
        &client,
        &["publishers", "add", "ci", "--key-file", key],
    )
    .await;
    assert_eq!(added["public_key"], made["public_key"]);
    let required = document(&host, &client, &["publishers", "require", "on"]).await;
    assert_eq!(required["required"], true);
    let deploy = ["deploy", "agent", wasm];
    let refused = ended(as_client(&client, &host.url(), &deploy)).await;
    let line = refused.refusal(1);
    assert!(line.contains("[signature_required, request "), "{line}");
    let deployed = document(&host, &client, &["deploy", "agent", wasm, "--sign", key]).await;
    assert_eq!(deployed["signed_by"], added["id"]);
    let again = ended(as_client(
        &client,
        &host.url(),
        &["publishers", "keygen", key],
    ))
    .await;
    assert_eq!(again.status, 1, "nothing is overwritten");
    let listed = document(&host, &client, &["publishers", "ls"]).await;
    assert_eq!(listed["data"][0]["id"], added["id"]);
    document(&host, &client, &["publishers", "require", "off"]).await;
    let id = added["id"].as_str().unwrap();
    let revoked = document(&host, &client, &["publishers", "revoke", id]).await;
    assert!(revoked["revoked_at"].is_string());
    host.stop().await;
}

/// Every signature is compared with every key, so there is a most.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_has_so_many_keys_and_no_more() {
    let host = TestHost::start_with(|config| config.agents.publisher_keys = 3).await;
    let second = host.join().await;
    let client = host.client("acme").await;
    let there = client.at(&second.url());
    let first = add(&client, &key(1)).await.json()["id"].clone();
    assert_eq!(add(&client, &key(2)).await.status, 201);
    // One is left, and four ask for it on two hosts.
    let keys = [key(3), key(4), key(5), key(6)];
    let [a, b, c, d] = &keys;
    let asked = tokio::join!(
        add(&client, a),
        add(&there, b),
        add(&client, c),
        add(&there, d)
    );
    let answers = [asked.0, asked.1, asked.2, asked.3];
    let added = answers.iter().filter(|answer| answer.status == 201);
    assert_eq!(added.count(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(refused.refusal(), (409, "too_many_publishers".to_owned()));
        assert!(
            refused.text.contains("agents.publisher_keys"),
            "{}",
            refused.text
        );
    }
    assert_eq!(add(&client, &key(1)).await.status, 200, "one that is there");
    let foreign = host.client("globex").await;
    assert_eq!(add(&foreign, &key(9)).await.status, 201);
    let path = format!("/publisher-keys/{}", first.as_str().unwrap());
    assert_eq!(client.delete(&path).await.status, 200);
    assert_eq!(add(&client, &key(9)).await.status, 201, "a place is free");
    second.stop().await;
    host.stop().await;
}

/// Two who sign one version at one time take turns under the agent's lock: the first signed it.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_signed_once() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let echo = ECHO.bytes();
    assert_eq!(upload(&client, &echo, None).await.status, 201);
    for n in [1, 2] {
        assert_eq!(add(&client, &key(n)).await.status, 201);
    }
    let signatures = [sign(&key(1), &echo), sign(&key(2), &echo)];
    let both = async {
        let [one, other] = &signatures;
        tokio::join!(
            upload(&client, &echo, Some(one)),
            upload(&client, &echo, Some(other))
        )
    };
    let both = behind_the_agents_lock(&host, 2, both).await;
    let (one, other) = (both.0.json(), both.1.json());
    assert!(one["signed_by"].is_string(), "{one}");
    assert_eq!(one["signed_by"], other["signed_by"]);
    let log = client
        .get("/audit/actions?action=agent_version.signed")
        .await;
    assert_eq!(log.json()["data"].as_array().unwrap().len(), 1);
    host.stop().await;
}

/// Does it while the rows of all agents are locked, until so many wait for one of them.
pub(crate) async fn behind_the_agents_lock<T>(
    host: &TestHost,
    waiting: i64,
    asks: impl Future<Output = T>,
) -> T {
    let mut tx = host.db().begin().await.expect("the database answers");
    sqlx::query("select id from agents for no key update")
        .fetch_all(&mut *tx)
        .await
        .expect("agents can be locked");
    let mut asks = std::pin::pin!(asks);
    let wait = eventually("they wait for the agent", async || {
        let found = sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where datname = current_database()
             and wait_event_type = 'Lock' and query like '%from agents%for no key update%'",
        );
        found.fetch_one(host.db()).await.ok() == Some(waiting)
    });
    tokio::select! {
        _ = &mut asks => panic!("nobody takes the agent's lock"),
        () = wait => {}
    }
    tx.commit().await.expect("nothing was written");
    asks.await
}
