//! Appending: no fork, no deadlock, no row without its transaction, and no way to change one.

use bulkhead::kit::Tasks;
use bulkhead::ledger::audit::record;
use bulkhead_tests::TestHost;
use sqlx::PgPool;

use super::{entry, org};

async fn seqs(db: &PgPool, org: uuid::Uuid) -> Vec<i64> {
    sqlx::query_scalar("select seq from audit_entries where org_id = $1 order by seq")
        .bind(org)
        .fetch_all(db)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writers_neither_fork_nor_wait_for_each_other() {
    let host = TestHost::start().await;
    let (acme, globex) = (org(&host, "acme").await, org(&host, "globex").await);
    let (before, now) = (seqs(host.db(), acme.0).await.len(), host.clock().now());
    let writers = (0..4).map(|writer| {
        let db = host.db().clone();
        Tasks::current().spawn(async move {
            for round in 0..25 {
                let mut tx = db.begin().await.unwrap();
                // Two organizations in either order, and several rows of one at once.
                let (a, b) = (entry(acme, now, writer), entry(globex, now, round));
                let entries = match writer % 2 {
                    0 => [a.clone(), b, a],
                    _ => [b, a.clone(), a],
                };
                record(&mut tx, &entries).await.unwrap();
                match round % 5 {
                    0 => tx.rollback().await.unwrap(),
                    _ => tx.commit().await.unwrap(),
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let rows = seqs(host.db(), acme.0).await;
    assert_eq!(rows.len(), before + 4 * 20 * 2);
    let whole: Vec<i64> = (1..=i64::try_from(rows.len()).unwrap()).collect();
    assert_eq!(rows, whole, "a gap or a number taken twice");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_to_change_or_remove_a_row() {
    let host = TestHost::start().await;
    org(&host, "acme").await;
    for statement in [
        "update audit_entries set actor_id = 'nobody'",
        "delete from audit_entries where seq = 1",
        "truncate audit_entries",
        "delete from audit_heads",
        "truncate audit_heads cascade",
        "update audit_heads set seq = 0",
        "update audit_heads set hash = decode(repeat('11', 32), 'hex')",
        "update audit_checkpoints set seq = seq + 1",
        "delete from audit_checkpoints",
        "truncate audit_checkpoints",
        "delete from audit_keys",
        "update audit_keys set public_key = secret_sealed",
    ] {
        let done = sqlx::query(statement).execute(host.db()).await;
        let refused = done.err().unwrap_or_else(|| panic!("{statement} was done"));
        let refused = refused.into_database_error().unwrap();
        assert_eq!(
            refused.constraint(),
            Some("audit_append_only"),
            "{statement}: {refused}"
        );
    }
    host.stop().await;
}
