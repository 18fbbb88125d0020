//! The conventions of every route: one shape of refusal, request ids, health, and where metrics are.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{Answer, send};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guests;

/// The answer is a problem, whole and without a word from inside.
pub(crate) fn assert_problem(answer: &Answer) {
    let code = answer.code();
    let problem = answer.json();
    let known = [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "request_id",
        "errors",
        "entries",
    ];
    for field in problem.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "`{field}` in {problem}");
    }
    assert_eq!(problem["type"], format!("urn:bulkhead:problem:{code}"));
    assert_eq!(problem["status"], answer.status.as_u16());
    assert_eq!(
        problem["request_id"].as_str(),
        answer
            .headers
            .get("x-request-id")
            .map(|id| id.to_str().unwrap())
    );
    for sentence in ["title", "detail"] {
        assert!(
            problem[sentence]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{sentence} of {problem}"
        );
    }
    for inside in [
        "sqlx", "select ", "insert ", "postgres", ".rs", "panicked", "Os {", "/tmp", "/home",
    ] {
        assert!(
            !answer.text.contains(inside),
            "`{inside}` is shown: {problem}"
        );
    }
    for error in problem["errors"].as_array().unwrap_or(&Vec::new()) {
        assert!(
            error["pointer"]
                .as_str()
                .is_some_and(|pointer| pointer.starts_with('/')),
            "{problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_read_is_one_problem() {
    let host = TestHost::start_with(|config| config.body_bytes = 64 << 10).await;
    let client = host.client("acme").await;
    let deep = format!("{{\"name\":{}1{}}}", "[".repeat(129), "]".repeat(129));
    let big = format!(
        "{{\"name\":\"{}\",\"scopes\":[\"read\"]}}",
        "a".repeat(8 << 20)
    );
    let unreadable: [&[u8]; 9] = [
        b"",
        b"{\"name\":",
        b"{\"name\":\"n\",\"scopes\":[\"read\"],\"more\":1}",
        b"{\"name\":\"n\",\"name\":\"n\",\"scopes\":[\"read\"]}",
        b"{\"name\":1,\"scopes\":[\"read\"]}",
        b"{\"name\":null,\"scopes\":[\"read\"]}",
        b"{\"name\":\"\xff\",\"scopes\":[\"read\"]}",
        b"{\"name\":\"a\x00b\",\"scopes\":[\"read\"]}",
        deep.as_bytes(),
    ];
    let mut cases: Vec<(&[u8], u16, &str)> =
        unreadable.map(|body| (body, 400, "invalid_json")).to_vec();
    cases.push((
        b"{\"name\":\"a\\u0000b\",\"scopes\":[\"read\"]}",
        422,
        "unprocessable",
    ));
    // The client is told, and not cut off, although it has not said everything yet.
    cases.push((big.as_bytes(), 413, "too_large"));
    for (body, status, code) in cases {
        let request = client
            .request(Method::POST, "/keys")
            .header("content-type", "application/json");
        let answer = send(request.body(body.to_vec())).await;
        assert_eq!(
            answer.refusal(),
            (status, code.to_owned()),
            "{}",
            answer.text
        );
        assert_problem(&answer);
    }
    let keys = client.get("/keys").await.json();
    assert_eq!(
        keys["data"].as_array().unwrap().len(),
        1,
        "nothing was made"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fits_no_route_is_one_problem() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let cases = [
        (Method::GET, "/nothing", 404, "not_found"),
        (Method::GET, "/v1", 404, "not_found"),
        (Method::PATCH, "/keys", 405, "method_not_allowed"),
        (Method::OPTIONS, "/keys", 405, "method_not_allowed"),
        (Method::POST, "/keys", 415, "unsupported_media_type"),
        (Method::GET, "/keys?limit=0", 400, "invalid_request"),
        (Method::GET, "/keys?more=1", 400, "invalid_request"),
        (Method::GET, "/keys?cursor=%ff", 400, "invalid_cursor"),
        (Method::GET, "/agents/a%00b", 404, "not_found"),
        (Method::GET, "/agents/%ff", 404, "not_found"),
        (
            Method::GET,
            "/agents/nobody/runs?state=%00",
            400,
            "invalid_request",
        ),
    ];
    for (method, path, status, code) in cases {
        let answer = send(client.request(method, path).body("{}")).await;
        assert_eq!(
            answer.refusal(),
            (status, code.to_owned()),
            "{path}: {}",
            answer.text
        );
        assert_problem(&answer);
        if status == 405 {
            assert_eq!(answer.headers["allow"], "POST,GET,HEAD");
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_count_is_told_why() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let make = async |body: Value| client.post("/keys", &body).await.json();
    let revoked = make(json!({ "name": "r", "scopes": ["read"] })).await;
    let expiring =
        make(json!({ "name": "e", "scopes": ["read"], "expires_at": "2026-11-20T10:00:00Z" }))
            .await;
    let reader = make(json!({ "name": "s", "scopes": ["read"] })).await;
    let with = |key: &Value| client.with_key(key["secret"].as_str().unwrap());
    assert_eq!(with(&expiring).get("/agents").await.status, 200);
    assert_eq!(with(&revoked).get("/agents").await.status, 200);
    client
        .delete(&format!("/keys/{}", revoked["id"].as_str().unwrap()))
        .await;
    host.clock().advance(Duration::from_secs(3600));

    let own = client.key.clone();
    let flipped = format!(
        "{}{}",
        &own[..own.len() - 1],
        if own.ends_with('A') { 'B' } else { 'A' }
    );
    for wrong in [
        "bh_",
        "x",
        "bh_zz_yy",
        &own[..own.len() - 1],
        &format!("{own}A"),
        &flipped,
    ] {
        let answer = client.with_key(wrong).get("/agents").await;
        assert_eq!(answer.refusal(), (401, "unknown_key".to_owned()), "{wrong}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        assert!(
            wrong.len() < 8 || !answer.text.contains(wrong),
            "the key is shown: {}",
            answer.text
        );
    }
    assert_eq!(
        with(&revoked).get("/agents").await.refusal(),
        (401, "revoked_key".to_owned())
    );
    assert_eq!(
        with(&expiring).get("/agents").await.refusal(),
        (401, "expired_key".to_owned())
    );
    assert_eq!(
        with(&reader).get("/keys").await.refusal(),
        (403, "forbidden".to_owned())
    );
    for header in [
        &b""[..],
        b"Basic YTpi",
        b"Bearer",
        b"bearer x",
        b"Bearer \xff",
    ] {
        let mut bare = client.anonymous(Method::GET, "/agents");
        if !header.is_empty() {
            bare = bare.header("authorization", header);
        }
        let answer = send(bare).await;
        assert_eq!(
            answer.refusal(),
            (401, "missing_key".to_owned()),
            "{header:?}"
        );
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_one_id() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let id_of = |answer: &Answer| answer.headers["x-request-id"].to_str().unwrap().to_owned();
    let sent = send(
        client
            .request(Method::GET, "/agents")
            .header("x-request-id", "my-id_1.2"),
    )
    .await;
    assert_eq!(id_of(&sent), "my-id_1.2");
    let refused = send(
        client
            .request(Method::GET, "/nothing")
            .header("x-request-id", "mine"),
    )
    .await;
    assert_eq!(
        (id_of(&refused), refused.json()["request_id"].clone()),
        ("mine".to_owned(), json!("mine"))
    );
    let (one, other) = (
        id_of(&client.get("/agents").await),
        id_of(&client.get("/agents").await),
    );
    assert_ne!(one, other);
    assert_eq!(one.len(), 32);
    for garbage in [&b"a b"[..], b"", b"\xff", b"<script>", &[b'a'; 129]] {
        let answer = send(
            client
                .request(Method::GET, "/agents")
                .header("x-request-id", garbage),
        )
        .await;
        assert_eq!(id_of(&answer).len(), 32, "{garbage:?} was taken");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_who_may_send_work() {
    let host = TestHost::start().await;
    let client = host.client("acme").await.with_key("");
    assert_eq!(
        client.get("/livez").await.json(),
        json!({ "status": "alive" })
    );
    assert_eq!(
        client.get("/readyz").await.json(),
        json!({ "status": "ready" })
    );
    host.host().app.draining.send_replace(true);
    let draining = client.get("/readyz").await;
    assert_eq!(draining.refusal(), (503, "unavailable".to_owned()));
    assert_problem(&draining);
    assert_eq!(client.get("/livez").await.status, 200);
    host.host().app.draining.send_replace(false);
    sqlx::query("update _sqlx_migrations set success = false where version = (select max(version) from _sqlx_migrations)")
        .execute(host.db())
        .await
        .unwrap();
    let behind = client.get("/readyz").await;
    assert_eq!(
        behind.json()["detail"],
        "The database lacks migrations of this host."
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_host_is_alive_and_not_ready() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    host.db().close().await;
    host.clock().advance(Duration::from_secs(2));
    assert_eq!(client.get("/livez").await.status, 200);
    for path in ["/readyz", "/agents", "/agents/echo/runs"] {
        let answer = client.get(path).await;
        assert_eq!(answer.refusal(), (503, "unavailable".to_owned()), "{path}");
        assert_problem(&answer);
    }
    let run = client
        .post("/agents/echo/runs", &json!({ "input": "x" }))
        .await;
    assert_eq!(run.refusal(), (503, "unavailable".to_owned()));
    drop(host.abandon().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_a_listener_of_their_own() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.get("/agents").await;
    let here = client.get("/v1/metrics").await;
    assert_eq!(here.refusal(), (404, "not_found".to_owned()));
    let metrics = send(client.anonymous(Method::GET, &host.metrics_url())).await;
    assert_eq!(metrics.status, 200);
    let line = "bulkhead_http_requests_total{method=\"GET\",route=\"/v1/orgs/{org}/agents\",status=\"200\"}";
    assert!(metrics.text.contains(line), "{}", metrics.text);
    let help = "# HELP bulkhead_http_requests_total requests by method, route and status";
    assert!(metrics.text.contains(help), "{}", metrics.text);
    assert!(
        !metrics.text.contains("acme"),
        "labels name no organization"
    );
    let api = send(client.anonymous(
        Method::GET,
        &host.metrics_url().replace("/metrics", "/livez"),
    ))
    .await;
    assert_eq!(api.status, 404, "the API is not on the metrics listener");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_harms_nobody() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let long = format!(
        "GET /livez HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let requests: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/orgs/\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/orgs/acme/keys HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/orgs/acme/keys HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzzz",
        b"GET /livez HTTP/1.1\r\nhost: x\r\na\0b: c\r\n\r\n",
        long.as_bytes(),
    ];
    for request in requests {
        let status = raw(&host, request).await;
        assert!(
            status.is_none_or(|status| (400..500).contains(&status)),
            "{status:?}"
        );
    }
    assert_eq!(client.get("/livez").await.status, 200);
    host.stop().await;
}

/// The status of the first answer to these bytes; none where the connection is closed without one.
async fn raw(host: &TestHost, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(host.host().address).await.unwrap();
    // A host that has heard enough may close before everything is sent.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer)
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_falls_silent_is_told_so() {
    let host = TestHost::start_with(|config| config.body_idle_ms = 100).await;
    let client = host.client("acme").await;
    for extra in ["", "idempotency-key: k\r\n"] {
        let head = format!(
            "POST /v1/orgs/acme/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: 100\r\n{extra}connection: close\r\n\r\n{{\"na",
            client.key
        );
        let mut stream = TcpStream::connect(host.host().address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("\"code\":\"body_timeout\""), "{answer}");
    }
    host.stop().await;
}
