//! The statements of usage rows: written once, with the run's end; read by runs and doors.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::kit::{OrgId, Result};

/// What one run used. Ids are bare: billing stands below the rooms that name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    pub org_id: OrgId,
    pub run_id: Uuid,
    pub agent_id: Uuid,
    pub version: i32,
    pub at: OffsetDateTime,
    pub input_tokens: i64,
    pub output_tokens: i64,
    pub estimated: bool,
    pub fuel: i64,
    pub wall_ms: i64,
    pub memory_peak_bytes: i64,
    pub host_calls: i64,
}

/// Writes the rows of many runs at once. A run has one row: a second one is an error and nothing is written.
pub async fn insert_usage(tx: &mut PgConnection, records: &[UsageRecord]) -> Result<()> {
    macro_rules! column {
        ($field:ident $(. $inner:tt)?) => {
            &records.iter().map(|record| record.$field$(.$inner)?).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into usage_records (org_id, run_id, agent_id, version, at, input_tokens, output_tokens,
           estimated, fuel, wall_ms, memory_peak_bytes, host_calls)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::timestamptz[], $6::bigint[],
           $7::bigint[], $8::boolean[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])",
        column!(org_id.0),
        column!(run_id),
        column!(agent_id),
        column!(version),
        column!(at),
        column!(input_tokens),
        column!(output_tokens),
        column!(estimated),
        column!(fuel),
        column!(wall_ms),
        column!(memory_peak_bytes),
        column!(host_calls),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub async fn find(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run_id: Uuid,
) -> Result<Option<UsageRecord>> {
    let row = sqlx::query_as!(
        UsageRecord,
        r#"select org_id as "org_id: OrgId", run_id, agent_id, version, at, input_tokens, output_tokens, estimated,
             fuel, wall_ms, memory_peak_bytes, host_calls
           from usage_records where org_id = $1 and run_id = $2"#,
        org.0,
        run_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(row)
}
