//! Exports: the CSV that no spreadsheet takes for a formula, and the chain that proves itself.

use std::io::Cursor;
use std::time::Duration;

use bulkhead::audit::verify::{Outside, Sound, verify};
use bulkhead_tests::{Client, TestHost};

use super::{append, entry, org};

/// The whole chain, as text.
pub(super) async fn exported(client: &Client) -> String {
    let answer = client.get("/audit/export.jsonl").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/jsonl");
    answer.text
}

pub(super) fn sound(export: &str, outside: &Outside) -> Result<Sound, String> {
    verify(&mut Cursor::new(export), outside).map_err(|bad| bad.to_string())
}

/// The checkpoints that the host kept outside the database.
pub(super) fn kept(host: &TestHost) -> Outside {
    let path = host.data().join("audit-checkpoints.jsonl");
    let text = std::fs::read(&path).unwrap();
    let mut outside = Outside::default();
    outside.read(&mut Cursor::new(text)).unwrap();
    outside
}

/// Every chain is signed.
pub(super) async fn sign(host: &TestHost) {
    host.clock().advance(Duration::from_secs(301));
    host.run_jobs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cell_of_the_csv_is_a_formula() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let now = host.clock().now();
    let evil = [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\n=x",
        "a,\"b\"\r\nc",
        "plain",
    ];
    let entries: Vec<_> = evil
        .iter()
        .map(|target| entry(acme, now, target).refused(target).changed([target]))
        .collect();
    append(&host, &entries).await;
    let answer = client.get("/audit/actions/export.csv?status=refused").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    assert!(
        answer
            .text
            .starts_with("seq,at,source,actor,actor_id,action,")
    );
    let mut reader = csv::Reader::from_reader(answer.text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), evil.len());
    for (row, text) in rows.iter().rev().zip(evil) {
        let guarded = match text {
            "plain" | "a,\"b\"\r\nc" => text.to_owned(),
            _ => format!("'{text}"),
        };
        for column in [7, 8, 10] {
            assert_eq!(row[column], guarded, "{text:?}");
        }
        for cell in row {
            assert!(
                !cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']),
                "{cell:?}"
            );
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_go_page_by_page_to_the_last_row() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let now = host.clock().now();
    for _ in 0..5 {
        let entries: Vec<_> = (0..500).map(|what| entry(acme, now, what)).collect();
        append(&host, &entries).await;
    }
    let csv = client.get("/audit/actions/export.csv").await.text;
    assert_eq!(csv.lines().count(), 1 + 2_502);
    // Two checkpoints of a thousand rows, and the rest when it is old enough.
    host.run_jobs().await;
    sign(&host).await;
    let export = exported(&client).await;
    let found = sound(&export, &kept(&host)).unwrap();
    assert_eq!((found.rows, found.inside, found.outside), (2_502, 3, 3));
    assert!(found.pinned && !sound(&export, &Outside::default()).unwrap().pinned);
    // Another organization's checkpoints are in the same file and prove nothing here.
    host.client("globex").await;
    sign(&host).await;
    assert_eq!(
        sound(&exported(&client).await, &kept(&host))
            .unwrap()
            .outside,
        3
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_survives_to_the_byte() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let now = host.clock().now();
    let texts = [
        "",
        "\"\\\u{8}\u{c}\n\r\t",
        "\u{1f600}\u{202e}é",
        "\0nul\0",
        "null",
        "{}",
    ];
    let entries: Vec<_> = texts
        .iter()
        .map(|text| {
            let detail = serde_json::json!({ "text": text, "n": [1, 2.5, null, true], "é": {} });
            entry(acme, now, text)
                .refused(text)
                .changed([text, text])
                .detail(&detail)
        })
        .collect();
    append(&host, &entries).await;
    let long = "é".repeat(10_000);
    let detail = serde_json::json!({ "long": long });
    append(&host, &[entry(acme, now, &long).detail(&detail)]).await;
    let export = exported(&client).await;
    let found = sound(&export, &Outside::default()).unwrap();
    assert_eq!(found.rows, 2 + 7);
    // A long text is cut at a character, and a long detail is not kept.
    assert!(export.contains(&format!("\"{}\"", "é".repeat(128))));
    assert!(export.contains("omitted_bytes"));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_key_that_is_shown_is_the_one_that_signs() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let keys = client.get("/audit/keys").await.json();
    let key = &keys["data"][0];
    assert_eq!(
        (&key["algorithm"], &key["current"]),
        (&"ed25519".into(), &true.into())
    );
    let mut outside = Outside::default();
    outside.trust(key["public_key"].as_str().unwrap()).unwrap();
    let export = exported(&client).await;
    let found = sound(&export, &outside).unwrap();
    assert_eq!(found.key, key["id"].as_str().unwrap());
    // Another host of the same database signs with the same key.
    let other = host.join().await;
    let same = other.client("acme").await.get("/audit/keys").await.json();
    assert_eq!(keys, same);
    let mut stranger = Outside::default();
    stranger.trust(&"11".repeat(32)).unwrap();
    let refused = sound(&export, &stranger).unwrap_err();
    assert!(refused.contains("is not a known one"), "{refused}");
    other.stop().await;
    host.stop().await;
}
