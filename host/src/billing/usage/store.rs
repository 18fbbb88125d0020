//! The statements of usage rows: written once, with the run's end.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::record::{Bill, StepRecord, UsageRecord};
use crate::kit::{OrgId, Result};

macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        &$rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// Writes the rows of many runs at once. A run has one row: a second one is an error and nothing is written.
pub(in crate::billing) async fn insert(tx: &mut PgConnection, bills: &[&Bill]) -> Result<()> {
    insert_runs(tx, bills).await?;
    let steps: Vec<(&UsageRecord, &StepRecord)> = bills
        .iter()
        .flat_map(|bill| bill.steps.iter().map(|step| (&bill.run, step)))
        .collect();
    if steps.is_empty() {
        return Ok(());
    }
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query!(
        "insert into usage_steps (org_id, run_id, seq, lost, agent_id, version, at, connection, model, input_tokens,
           output_tokens, cached_tokens, reasoning_tokens, estimated, cost_picos)
         select * from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::boolean[], $5::uuid[], $6::integer[],
           $7::timestamptz[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
           $14::boolean[], $15::bigint[])",
        column!(steps, (run, _) => run.org_id.0),
        column!(steps, (run, _) => run.run_id),
        column!(steps, (_, step) => step.seq),
        column!(steps, (_, step) => step.lost),
        column!(steps, (run, _) => run.agent_id),
        column!(steps, (run, _) => run.version),
        column!(steps, (run, _) => run.at),
        column!(steps, (_, step) => step.connection.clone()),
        column!(steps, (_, step) => step.model.clone()),
        column!(steps, (_, step) => number(step.tokens.input)),
        column!(steps, (_, step) => number(step.tokens.output)),
        column!(steps, (_, step) => number(step.tokens.cached)),
        column!(steps, (_, step) => number(step.tokens.reasoning)),
        column!(steps, (_, step) => step.tokens.estimated),
        column!(steps, (_, step) => step.cost_picos) as &[Option<i64>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_runs(tx: &mut PgConnection, bills: &[&Bill]) -> Result<()> {
    macro_rules! of_run {
        ($field:ident $(. $inner:tt)?) => {
            column!(bills, bill => bill.run.$field$(.$inner)?)
        };
    }
    sqlx::query!(
        "insert into usage_records (org_id, run_id, agent_id, version, at, input_tokens, output_tokens,
           estimated, fuel, wall_ms, memory_peak_bytes, host_calls, started_at, state, cached_tokens, reasoning_tokens,
           tool_calls, egress_bytes, knowledge_queries, cost_picos, unpriced)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::timestamptz[], $6::bigint[],
           $7::bigint[], $8::boolean[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::timestamptz[],
           $14::text[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[],
           $21::boolean[])",
        of_run!(org_id.0),
        of_run!(run_id),
        of_run!(agent_id),
        of_run!(version),
        of_run!(at),
        of_run!(input_tokens),
        of_run!(output_tokens),
        of_run!(estimated),
        of_run!(fuel),
        of_run!(wall_ms),
        of_run!(memory_peak_bytes),
        of_run!(host_calls),
        of_run!(started_at),
        column!(bills, bill => bill.run.state.to_owned()),
        of_run!(cached_tokens),
        of_run!(reasoning_tokens),
        of_run!(tool_calls),
        of_run!(egress_bytes),
        of_run!(knowledge_queries),
        of_run!(cost_picos),
        of_run!(unpriced),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn find(
    db: impl PgExecutor<'_>,
    org: OrgId,
    run_id: Uuid,
) -> Result<Option<UsageRecord>> {
    let row = sqlx::query!(
        r#"select agent_id, version, coalesce(started_at, at - wall_ms * interval '1 millisecond') as "started_at!",
             at, coalesce(state, '') as "state!", input_tokens, output_tokens, cached_tokens, reasoning_tokens,
             estimated, fuel, wall_ms, memory_peak_bytes, host_calls, tool_calls, egress_bytes, knowledge_queries,
             cost_picos, unpriced
           from usage_records where org_id = $1 and run_id = $2"#,
        org.0,
        run_id,
    )
    .fetch_optional(db)
    .await?;
    let states = ["completed", "failed", "cancelled", "blocked"];
    Ok(row.map(|row| UsageRecord {
        org_id: org,
        run_id,
        agent_id: row.agent_id,
        version: row.version,
        started_at: row.started_at,
        at: row.at,
        state: states
            .into_iter()
            .find(|state| *state == row.state)
            .unwrap_or(""),
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        cached_tokens: row.cached_tokens,
        reasoning_tokens: row.reasoning_tokens,
        estimated: row.estimated,
        fuel: row.fuel,
        wall_ms: row.wall_ms,
        memory_peak_bytes: row.memory_peak_bytes,
        host_calls: row.host_calls,
        tool_calls: row.tool_calls,
        egress_bytes: row.egress_bytes,
        knowledge_queries: row.knowledge_queries,
        cost_picos: row.cost_picos,
        unpriced: row.unpriced,
    }))
}
