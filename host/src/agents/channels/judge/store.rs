//! The statements of judging: whose turn it is, and what the runs of the two versions came to. Each reads a bounded number of
//! the newest runs by an index.

use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

use super::Figures;
use super::thresholds::RUNS_MAX;
use crate::agents::AgentId;
use crate::billing::Money;
use crate::kit::{OrgId, Result};

/// The newest runs of an agent among which those of stable are looked for.
const LOOKED_AT: i64 = 10_000;

/// Takes the canaries that nobody looked at since `before`: for this node, now.
pub(super) async fn claim(
    db: impl PgExecutor<'_>,
    (now, before): (OffsetDateTime, OffsetDateTime),
    limit: i64,
) -> Result<Vec<(OrgId, AgentId, String)>> {
    let rows = sqlx::query!(
        r#"update agent_canaries j set judged_at = $1
           from (select org_id, agent_id from agent_canaries where judged_at <= $2
                 order by judged_at limit $3 for update skip locked) due
           join agents a on a.org_id = due.org_id and a.id = due.agent_id
           where j.org_id = due.org_id and j.agent_id = due.agent_id
           returning j.org_id as "org: OrgId", j.agent_id as "agent: AgentId", a.name"#,
        now,
        before,
        limit,
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    Ok(rows.map(|row| (row.org, row.agent, row.name)).collect())
}

struct Row {
    runs: i64,
    failed: i64,
    blocked: i64,
    p95_ms: Option<i64>,
    priced: i64,
    cost_picos: String,
}

impl From<Row> for Figures {
    fn from(row: Row) -> Self {
        let cost = Money(row.cost_picos.parse().unwrap_or(i128::MAX));
        let counts = (row.runs, row.failed, row.blocked);
        Self::new(counts, row.p95_ms, (row.priced, cost))
    }
}

/// The newest runs that took a version as the canary, from a time on.
pub(super) async fn of_canary(
    db: &PgPool,
    (org, agent): (OrgId, AgentId),
    version: i32,
    from: OffsetDateTime,
) -> Result<Figures> {
    let row = sqlx::query_as!(
        Row,
        r#"select count(*) as "runs!", count(*) filter (where r.state = 'failed') as "failed!",
             count(*) filter (where r.state = 'blocked') as "blocked!",
             percentile_disc(0.95) within group (order by u.wall_ms) as p95_ms,
             count(*) filter (where not u.unpriced) as "priced!",
             coalesce(sum(u.cost_picos) filter (where not u.unpriced), 0)::text as "cost_picos!"
           from (select id, state from runs
                 where org_id = $1 and agent_id = $2 and version = $3 and channel = 'canary' and created_at >= $4
                   and state in ('completed', 'failed', 'blocked')
                 order by created_at desc limit $5) r
           join usage_records u on u.org_id = $1 and u.run_id = r.id"#,
        org.0,
        agent.0,
        version,
        from,
        i64::from(RUNS_MAX),
    );
    Ok(row.fetch_one(db).await?.into())
}

/// The newest runs that took a version as the stable one, from a time on, among the newest of the agent.
pub(super) async fn of_stable(
    db: &PgPool,
    (org, agent): (OrgId, AgentId),
    version: i32,
    from: OffsetDateTime,
) -> Result<Figures> {
    let row = sqlx::query_as!(
        Row,
        r#"select count(*) as "runs!", count(*) filter (where r.state = 'failed') as "failed!",
             count(*) filter (where r.state = 'blocked') as "blocked!",
             percentile_disc(0.95) within group (order by u.wall_ms) as p95_ms,
             count(*) filter (where not u.unpriced) as "priced!",
             coalesce(sum(u.cost_picos) filter (where not u.unpriced), 0)::text as "cost_picos!"
           from (select id, state from (
                   select id, state, version, channel, created_at from runs
                   where org_id = $1 and agent_id = $2 and created_at >= $4
                   order by created_at desc, id desc limit $6) newest
                 where version = $3 and channel = 'stable' and state in ('completed', 'failed', 'blocked')
                 order by created_at desc limit $5) r
           join usage_records u on u.org_id = $1 and u.run_id = r.id"#,
        org.0,
        agent.0,
        version,
        from,
        i64::from(RUNS_MAX),
        LOOKED_AT,
    );
    Ok(row.fetch_one(db).await?.into())
}
