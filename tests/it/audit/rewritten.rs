//! Whoever owns the database can rewrite it, hashes and signatures included. What then shows it: the invariants, the
//! job that signs, and the checkpoints that were kept outside.

use bulkhead::audit::verify::Outside;
use bulkhead::invariants::check;
use bulkhead_tests::TestHost;
use bulkhead_tests::logs::expect_errors;
use serde_json::Value;

use super::export::{exported, kept, sign, sound};
use super::mutations::hash;
use super::{append, entry, org, sql};

/// What breaks a chain of seven rows that is signed at the sixth, and how that is told.
const PLANTED: &[(&str, &str)] = &[
    (
        "update audit_entries set detail = '{\"a\":1}' where seq = 3",
        "row 3 is not what its hash was made of",
    ),
    (
        "update audit_entries set at = at + interval '1 microsecond' where seq = 2",
        "row 2 is not what",
    ),
    (
        "update audit_entries set changed = '{x}' where seq = 7",
        "row 7 is not what",
    ),
    (
        "delete from audit_entries where seq = 2",
        "row 3 follows row 1",
    ),
    (
        "delete from audit_entries where seq = 7",
        "its rows end at 6, its head is at 7",
    ),
    ("delete from audit_entries", "its rows end at 0"),
    (
        "update audit_entries set seq = 100 where seq = 7",
        "row 100 follows row 6",
    ),
    ("update audit_heads set seq = 8", "its head is at 8"),
    (
        "update audit_heads set hash = decode(repeat('11', 32), 'hex')",
        "its rows end at 7",
    ),
    (
        "update audit_checkpoints set seq = 5",
        "row 5 is not the one that was signed",
    ),
    (
        "update audit_checkpoints set at = at + interval '1 second'",
        "row 6 is not signed by a key",
    ),
    (
        "update audit_checkpoints set seq = 9",
        "row 9 was signed, the rows end at 7",
    ),
];

/// Nothing in the database refuses any more.
async fn unlocked(host: &TestHost) {
    for statement in [
        "alter table audit_entries disable trigger user",
        "alter table audit_heads disable trigger user",
        "alter table audit_checkpoints disable trigger user",
        "alter table audit_keys disable trigger user",
    ] {
        sql(host, statement).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_database_does_not_fit_the_checkpoints_kept_outside() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let now = host.clock().now();
    let entries: Vec<_> = (0..5).map(|what| entry(acme, now, what)).collect();
    append(&host, &entries).await;
    sign(&host).await;
    let outside = kept(&host);
    let before = exported(&client).await;
    assert_eq!(sound(&before, &outside).unwrap().outside, 1);
    // Row 4 says something else, every hash behind it fits, and the checkpoints are gone.
    unlocked(&host).await;
    sql(
        &host,
        "update audit_entries set actor_id = 'nobody' where seq = 4",
    )
    .await;
    sql(&host, "delete from audit_checkpoints").await;
    let mut at = bulkhead::ledger::audit::chain::GENESIS;
    for line in exported(&client)
        .await
        .lines()
        .filter(|line| line.starts_with("{\"seq\""))
    {
        let row: Value = serde_json::from_str(line).unwrap();
        at = hash(acme.0, &row, &at);
        sqlx::query("update audit_entries set hash = $2 where org_id = $1 and seq = $3")
            .bind(acme.0)
            .bind(&at[..])
            .bind(row["seq"].as_i64().unwrap())
            .execute(host.db())
            .await
            .unwrap();
    }
    sqlx::query("update audit_heads set hash = $2 where org_id = $1")
        .bind(acme.0)
        .bind(&at[..])
        .execute(host.db())
        .await
        .unwrap();
    let rewritten = exported(&client).await;
    // Nothing inside the database tells any more…
    sound(&rewritten, &Outside::default()).unwrap();
    // …and what is outside does.
    let refused = sound(&rewritten, &outside).unwrap_err();
    assert!(
        refused.contains("up to row 7 the rows are not those that were signed"),
        "{refused}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_was_signed_cannot_be_cut_off() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let now = host.clock().now();
    append(&host, &[entry(acme, now, 0), entry(acme, now, 1)]).await;
    sign(&host).await;
    append(&host, &[entry(acme, now, 2)]).await;
    unlocked(&host).await;
    // The row behind the last checkpoint leaves no trace: that is what a short window is for.
    sql(&host, "delete from audit_entries where seq = 5").await;
    sql(
        &host,
        "update audit_heads h set seq = 4, hash = e.hash from audit_entries e
         where e.org_id = h.org_id and e.seq = 4",
    )
    .await;
    sound(&exported(&client).await, &kept(&host)).unwrap();
    // One more, and a signed row is missing.
    sql(&host, "delete from audit_checkpoints").await;
    sql(&host, "delete from audit_entries where seq = 4").await;
    sql(
        &host,
        "update audit_heads h set seq = 3, hash = e.hash from audit_entries e
         where e.org_id = h.org_id and e.seq = 3",
    )
    .await;
    let refused = sound(&exported(&client).await, &kept(&host)).unwrap_err();
    assert!(
        refused.contains("row 4 was signed, and the rows end at 3"),
        "{refused}"
    );
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_rows_are_not_signed() {
    let host = TestHost::start().await;
    let (acme, now) = (org(&host, "acme").await, host.clock().now());
    append(&host, &[entry(acme, now, 0), entry(acme, now, 1)]).await;
    unlocked(&host).await;
    sql(
        &host,
        "update audit_entries set action = 'nothing' where seq = 3",
    )
    .await;
    expect_errors("the audit log was altered");
    sign(&host).await;
    let signed = "update audit_checkpoints set seq = seq";
    assert_eq!(sql(&host, signed).await, 0, "nothing was signed");
    sql(
        &host,
        "update audit_entries set action = 'limits.set' where seq = 3",
    )
    .await;
    host.run_jobs().await;
    assert_eq!(sql(&host, signed).await, 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_violation_of_a_chain_is_found() {
    let host = TestHost::start().await;
    let (acme, now) = (org(&host, "acme").await, host.clock().now());
    let entries: Vec<_> = (0..4).map(|what| entry(acme, now, what)).collect();
    append(&host, &entries).await;
    sign(&host).await;
    append(&host, &[entry(acme, now, "unsigned")]).await;
    unlocked(&host).await;
    let tables = ["audit_entries", "audit_heads", "audit_checkpoints"];
    for table in tables {
        let keep = format!("create table kept_{table} as table {table}");
        sqlx::query(sqlx::AssertSqlSafe(keep))
            .execute(host.db())
            .await
            .unwrap();
    }
    for (planted, told) in PLANTED {
        assert!(sql(&host, planted).await > 0, "{planted}");
        let found = check(host.db())
            .await
            .unwrap_or_else(|error| panic!("{error:?}"));
        let named = found.iter().any(|v| {
            v.invariant == "I8" && v.detail.contains(told) && v.detail.contains(&acme.to_string())
        });
        assert!(named, "{planted}: {found:?}");
        for table in tables {
            for back in [
                format!("delete from {table}"),
                format!("insert into {table} table kept_{table}"),
            ] {
                sqlx::query(sqlx::AssertSqlSafe(back))
                    .execute(host.db())
                    .await
                    .unwrap();
            }
        }
    }
    host.stop().await;
}
