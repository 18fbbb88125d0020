//! The statements of the metrics. What ended before ends were kept with the usage has its state from the run's row.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};

use super::figures::Sums;
use crate::agents::AgentId;
use crate::kit::{OrgId, Result};

/// All that is read in this transaction is of one instant.
pub(super) async fn one_snapshot(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(tx)
        .await?;
    Ok(())
}

/// The sums of each day that has any, and of all of them (no day).
pub(super) async fn by_day(
    tx: &mut PgConnection,
    (org, agent): (OrgId, Option<AgentId>),
    (from, to): (OffsetDateTime, OffsetDateTime),
) -> Result<Vec<(Option<Date>, Sums)>> {
    let rows = sqlx::query!(
        r#"with ended as (
             select (u.at at time zone 'utc')::date as day, u.wall_ms, u.input_tokens, u.output_tokens, u.cost_picos,
               u.unpriced, coalesce(u.state, r.state) as state
             from usage_records u left join runs r on u.state is null and r.org_id = u.org_id and r.id = u.run_id
             where u.org_id = $1 and u.at >= $3 and u.at < $4 and ($2::uuid is null or u.agent_id = $2))
           select day as "day?", count(*) as "runs!",
             count(*) filter (where state = 'failed') as "failed!",
             count(*) filter (where state = 'cancelled') as "cancelled!",
             count(*) filter (where state = 'blocked') as "blocked!",
             percentile_disc(0.5) within group (order by wall_ms) as p50_ms,
             percentile_disc(0.95) within group (order by wall_ms) as p95_ms,
             coalesce(sum(input_tokens), 0)::bigint as "input_tokens!",
             coalesce(sum(output_tokens), 0)::bigint as "output_tokens!",
             coalesce(sum(cost_picos), 0)::text as "cost_picos!",
             count(*) filter (where unpriced) as "unpriced!"
           from ended group by grouping sets ((day), ())"#,
        org.0,
        agent.map(|agent| agent.0),
        from,
        to,
    )
    .fetch_all(tx)
    .await?;
    let sums = rows.into_iter().map(|row| {
        let sums = Sums {
            runs: row.runs,
            failed: row.failed,
            cancelled: row.cancelled,
            blocked: row.blocked,
            p50_ms: row.p50_ms,
            p95_ms: row.p95_ms,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cost_picos: row.cost_picos.parse().unwrap_or(i128::MAX),
            unpriced: row.unpriced,
        };
        (row.day, sums)
    });
    Ok(sums.collect())
}

/// The agents with the most runs, or with the most failed ones; those without any are left out.
pub(super) async fn top(
    tx: &mut PgConnection,
    (org, failing): (OrgId, bool),
    (from, to): (OffsetDateTime, OffsetDateTime),
    limit: i64,
) -> Result<Vec<(String, Sums)>> {
    let rows = sqlx::query!(
        r#"with ended as (
             select u.agent_id, u.wall_ms, u.input_tokens, u.output_tokens, u.cost_picos, u.unpriced,
               coalesce(u.state, r.state) as state
             from usage_records u left join runs r on u.state is null and r.org_id = u.org_id and r.id = u.run_id
             where u.org_id = $1 and u.at >= $2 and u.at < $3)
           select a.name, count(*) as "runs!",
             count(*) filter (where state = 'failed') as "failed!",
             count(*) filter (where state = 'cancelled') as "cancelled!",
             count(*) filter (where state = 'blocked') as "blocked!",
             percentile_disc(0.5) within group (order by wall_ms) as p50_ms,
             percentile_disc(0.95) within group (order by wall_ms) as p95_ms,
             coalesce(sum(input_tokens), 0)::bigint as "input_tokens!",
             coalesce(sum(output_tokens), 0)::bigint as "output_tokens!",
             coalesce(sum(cost_picos), 0)::text as "cost_picos!",
             count(*) filter (where unpriced) as "unpriced!"
           from ended join agents a on a.org_id = $1 and a.id = ended.agent_id
           group by a.id, a.name
           having not $4 or count(*) filter (where state = 'failed') > 0
           order by case when $4 then count(*) filter (where state = 'failed') else count(*) end desc, a.name
           limit $5"#,
        org.0,
        from,
        to,
        failing,
        limit,
    )
    .fetch_all(tx)
    .await?;
    let agents = rows.into_iter().map(|row| {
        let sums = Sums {
            runs: row.runs,
            failed: row.failed,
            cancelled: row.cancelled,
            blocked: row.blocked,
            p50_ms: row.p50_ms,
            p95_ms: row.p95_ms,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cost_picos: row.cost_picos.parse().unwrap_or(i128::MAX),
            unpriced: row.unpriced,
        };
        (row.name, sums)
    });
    Ok(agents.collect())
}
