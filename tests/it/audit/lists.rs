//! The lists: what a row says, what narrows them, where pages begin, and whose they are.

use std::time::Duration;

use bulkhead::ledger::audit::{Source, Status};
use bulkhead_tests::TestHost;
use serde_json::{Value, json};

use super::{append, entry, listed, org};

fn actions(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_says_who_did_what_to_what_and_how_it_was_asked() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let put = client.request(reqwest::Method::PUT, "/limits");
    let put = put.header("x-request-id", "req-7");
    let put = put.json(&json!({ "fuel": 1_000_000, "handles": 10 }));
    let answer = bulkhead_tests::client::send(put).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let rows = listed(&client, "actions").await;
    assert_eq!(
        actions(&rows),
        ["limits.set", "api_key.created", "organization.created"]
    );
    let (row, made) = (&rows[0], &rows[1]);
    assert_eq!(row["seq"], 3);
    assert_eq!(row["status"], "done");
    assert_eq!(
        row["target"],
        json!({ "kind": "organization", "id": "acme" })
    );
    assert_eq!(row["changed"], json!(["fuel", "handles"]));
    assert_eq!(
        (&row["request_id"], &row["ip"]),
        (&json!("req-7"), &json!("127.0.0.1"))
    );
    // The operator made the key, and the key set the limits.
    assert_eq!(
        made["actor"],
        json!({ "kind": "operator", "id": "operator" })
    );
    assert_eq!(
        row["actor"],
        json!({ "kind": "key", "id": made["target"]["id"] })
    );
    assert_eq!(row["hash"].as_str().unwrap().len(), 64);
    // No value of a limit and no secret is in it.
    assert!(!answer.text.is_empty() && !row.to_string().contains("1000000"));
    let secret = client.key.rsplit('_').next().unwrap();
    assert!(!json!(rows).to_string().contains(secret));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_windows_and_sources_narrow_a_list() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let start = host.clock().now();
    host.clock().advance(Duration::from_secs(40 * 86_400));
    let now = host.clock().now();
    let delivery = entry(acme, now, "delivered").of(Source::Deliveries);
    append(
        &host,
        &[
            entry(acme, now, "a"),
            entry(acme, now, "b").refused("forbidden"),
            delivery.came_to(Status::Failed, Some("timeout")),
        ],
    )
    .await;
    let targets = |rows: &[Value]| -> Vec<String> {
        rows.iter()
            .map(|row| row["target"]["id"].as_str().unwrap().to_owned())
            .collect()
    };
    // Thirty days, and the organization was made forty days ago.
    assert_eq!(targets(&listed(&client, "actions").await), ["b", "a"]);
    let from = "from=2026-11-20T08:00:00Z";
    assert_eq!(listed(&client, &format!("actions?{from}")).await.len(), 4);
    let to = "to=2026-11-20T09:00:01Z";
    assert_eq!(listed(&client, &format!("actions?{to}")).await.len(), 2);
    // Half open: what is at `to` is not in it.
    let exact = start
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    assert_eq!(
        listed(&client, &format!("actions?to={exact}")).await.len(),
        0
    );
    assert_eq!(
        listed(&client, &format!("actions?from={exact}"))
            .await
            .len(),
        4
    );
    assert_eq!(
        targets(&listed(&client, "actions?status=refused").await),
        ["b"]
    );
    let query = format!("actions?{from}&action=organization.created");
    assert_eq!(targets(&listed(&client, &query).await), ["acme"]);
    assert_eq!(listed(&client, "actions?actor=operator").await.len(), 2);
    assert_eq!(listed(&client, "actions?actor=key_0").await.len(), 0);
    let delivered = listed(&client, "deliveries").await;
    assert_eq!(targets(&delivered), ["delivered"]);
    assert_eq!(
        (&delivered[0]["status"], &delivered[0]["code"]),
        (&json!("failed"), &json!("timeout"))
    );
    for source in ["provisioning", "tools", "egress"] {
        assert_eq!(listed(&client, source).await.len(), 0, "{source}");
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_one_clear_answer() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    for (query, status, code) in [
        ("nothing", 404, "not_found"),
        ("nothing/export.csv", 404, "not_found"),
        ("actions?action=api_key.eaten", 400, "invalid_request"),
        ("actions?status=fine", 400, "invalid_request"),
        ("actions?from=yesterday", 400, "invalid_request"),
        (
            "actions?from=2026-11-20T09:00:00Z&to=2026-11-20T09:00:00Z",
            400,
            "invalid_request",
        ),
        ("actions?since=1", 400, "invalid_request"),
        ("actions?limit=0", 400, "invalid_request"),
        ("actions?limit=201", 400, "invalid_request"),
        ("actions?cursor=AAAA", 400, "invalid_cursor"),
        ("actions/export.csv?limit=3", 400, "invalid_request"),
        ("actions?actor=%00", 400, "invalid_request"),
    ] {
        let answer = client.get(&format!("/audit/{query}")).await;
        assert_eq!(
            answer.refusal(),
            (status, code.to_owned()),
            "{query}: {}",
            answer.text
        );
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_goes_on_where_the_page_ended_and_fits_no_other_list() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let now = host.clock().now();
    let entries: Vec<_> = (0..23).map(|what| entry(acme, now, what)).collect();
    append(&host, &entries).await;
    let (mut seen, mut query) = (Vec::new(), "actions?limit=5".to_owned());
    let mut cursors = Vec::new();
    loop {
        let page = client.get(&format!("/audit/{query}")).await.json();
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["seq"].as_i64().unwrap()),
        );
        // What is appended meanwhile belongs to no later page.
        append(&host, &[entry(acme, now, "late")]).await;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        cursors.push(cursor.to_owned());
        query = format!("actions?limit=5&cursor={cursor}");
    }
    let expected: Vec<i64> = (1..=25).rev().collect();
    assert_eq!(seen, expected, "every row once, newest first");
    let globex = host.client("globex").await;
    let cursor = &cursors[0];
    let altered = format!("{}A", &cursor[..cursor.len() - 1]);
    for (client, query) in [
        (&client, format!("deliveries?cursor={cursor}")),
        (&client, format!("actions?status=done&cursor={cursor}")),
        (
            &client,
            format!("actions?from=2026-11-01T00:00:00Z&cursor={cursor}"),
        ),
        (&client, format!("actions?cursor={altered}B")),
        (&globex, format!("actions?cursor={cursor}")),
    ] {
        let answer = client.get(&format!("/audit/{query}")).await;
        assert_eq!(
            answer.refusal(),
            (400, "invalid_cursor".to_owned()),
            "{query}"
        );
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_belongs_to_its_organization() {
    let host = TestHost::start().await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    for path in ["actions", "actions/export.csv", "export.jsonl", "keys"] {
        let answer = globex.get(&format!("/v1/orgs/acme/audit/{path}")).await;
        assert_eq!(answer.refusal(), (404, "not_found".to_owned()), "{path}");
        let theirs = acme.get(&format!("/audit/{path}")).await;
        assert_eq!(theirs.status, 200, "{path}");
        assert!(!theirs.text.contains("globex"), "{path}");
    }
    host.stop().await;
}
