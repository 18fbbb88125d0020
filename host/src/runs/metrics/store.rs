//! The statement of the metrics. What ended before ends were kept with the usage has its state from the run's row.

use sqlx::PgExecutor;
use time::{Date, OffsetDateTime};

use super::figures::Sums;
use crate::agents::AgentId;
use crate::kit::{OrgId, Result};

/// Whose sums they are.
pub(super) enum Of {
    All,
    Day(Date),
    Agent(String),
}

/// The sums of all runs that ended in a span, of each day and of each agent that has any: one statement, so that they
/// add up.
pub(super) async fn sums(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, Option<AgentId>),
    (from, to): (OffsetDateTime, OffsetDateTime),
) -> Result<Vec<(Of, Sums)>> {
    let rows = sqlx::query!(
        r#"with ended as (
             select (u.at at time zone 'utc')::date as day, a.name as agent, u.wall_ms, u.input_tokens,
               u.output_tokens, u.cost_picos, u.unpriced, coalesce(u.state, r.state) as state
             from usage_records u join agents a on a.org_id = u.org_id and a.id = u.agent_id
               left join runs r on u.state is null and r.org_id = u.org_id and r.id = u.run_id
             where u.org_id = $1 and u.at >= $3 and u.at < $4 and ($2::uuid is null or u.agent_id = $2))
           select day as "day?", agent as "agent?", count(*) as "runs!",
             count(*) filter (where state = 'failed') as "failed!",
             count(*) filter (where state = 'cancelled') as "cancelled!",
             count(*) filter (where state = 'blocked') as "blocked!",
             percentile_disc(0.5) within group (order by wall_ms) as p50_ms,
             percentile_disc(0.95) within group (order by wall_ms) as p95_ms,
             coalesce(sum(input_tokens), 0)::bigint as "input_tokens!",
             coalesce(sum(output_tokens), 0)::bigint as "output_tokens!",
             coalesce(sum(cost_picos), 0)::text as "cost_picos!",
             count(*) filter (where unpriced) as "unpriced!"
           from ended group by grouping sets ((day), (agent), ())"#,
        org.0,
        agent.map(|agent| agent.0),
        from,
        to,
    )
    .fetch_all(db)
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
        let of = match (row.day, row.agent) {
            (Some(day), _) => Of::Day(day),
            (None, Some(agent)) => Of::Agent(agent),
            (None, None) => Of::All,
        };
        (of, sums)
    });
    Ok(sums.collect())
}
