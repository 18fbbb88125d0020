//! Usage rows: written many at once, once per run, and seen by their own organization only.

use bulkhead::billing::{self, UsageRecord};
use bulkhead::kit::{OrgId, db};
use bulkhead_tests::database;
use time::macros::datetime;
use uuid::Uuid;

fn record(org: u128, run: u128) -> UsageRecord {
    UsageRecord {
        org_id: OrgId(Uuid::from_u128(org)),
        run_id: Uuid::from_u128(run),
        agent_id: Uuid::from_u128(7),
        version: 3,
        at: datetime!(2026-01-02 03:04:05 UTC),
        input_tokens: 10,
        output_tokens: i64::MAX,
        estimated: run % 2 == 1,
        fuel: 5,
        wall_ms: 6,
        memory_peak_bytes: 7,
        host_calls: 8,
    }
}

#[tokio::test]
async fn a_run_has_one_row_of_its_own_organization() {
    let database = database::fresh().await;
    let pool = db::connect(database.url(), 2).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let records: Vec<UsageRecord> = (0..50).map(|run| record(1 + run % 2, run)).collect();
    billing::insert_usage(&mut connection, &records)
        .await
        .unwrap();
    billing::insert_usage(&mut connection, &[]).await.unwrap();
    for kept in &records {
        let found = billing::find(&pool, kept.org_id, kept.run_id)
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(kept));
    }
    let foreign = billing::find(&pool, OrgId(Uuid::from_u128(2)), Uuid::from_u128(0)).await;
    assert_eq!(foreign.unwrap(), None);
    let twice = billing::insert_usage(&mut connection, &[record(1, 100), record(1, 0)]).await;
    assert!(twice.is_err());
    let other = billing::find(&pool, OrgId(Uuid::from_u128(1)), Uuid::from_u128(100)).await;
    assert_eq!(
        other.unwrap(),
        None,
        "a batch is written whole or not at all"
    );
}
