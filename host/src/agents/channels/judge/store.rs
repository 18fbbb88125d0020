//! The statements of judging: whose turn it is, and what the runs of the two versions came to. Each reads a bounded number of
//! the newest runs by an index.

use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

use super::Figures;
use super::thresholds::RUNS_MAX;
use crate::agents::AgentId;
use crate::billing::Money;
use crate::kit::{OrgId, Result};

/// The newest runs among which those that count are looked for.
const LOOKED_AT: i64 = 10_000;
/// Other nodes see a move within a quarter of a second; what they began by what they saw before is written soon after.
const SETTLED_MS: f64 = 2_000.0;

/// Takes the canaries that nobody looked at for so many milliseconds: for this node, now. By the database's clock, which all
/// nodes share.
pub(super) async fn claim(
    db: impl PgExecutor<'_>,
    every_ms: f64,
    limit: i64,
) -> Result<Vec<(OrgId, AgentId, String)>> {
    let rows = sqlx::query!(
        r#"update agent_canaries j set judged_at = clock_timestamp()
           from (select org_id, agent_id from agent_canaries
                 where judged_at <= statement_timestamp() - $1::double precision * interval '1 millisecond'
                 order by judged_at limit $2 for update skip locked) due
           join agents a on a.org_id = due.org_id and a.id = due.agent_id
           where j.org_id = due.org_id and j.agent_id = due.agent_id
           returning j.org_id as "org: OrgId", j.agent_id as "agent: AgentId", a.name"#,
        every_ms,
        limit,
    );
    let rows = rows.fetch_all(db).await?.into_iter();
    Ok(rows.map(|row| (row.org, row.agent, row.name)).collect())
}

/// A version that the host ended as a canary, in the transaction that ends it.
pub(in crate::agents::channels) async fn withdraw(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    version: i32,
) -> Result<()> {
    sqlx::query!(
        "insert into withdrawn_canaries (org_id, agent_id, version, withdrawn_at) values ($1, $2, $3, clock_timestamp())
         on conflict on constraint withdrawn_canaries_pkey do update set withdrawn_at = excluded.withdrawn_at",
        org.0,
        agent.0,
        version,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A version that was ended as a canary.
pub(super) struct Withdrawn {
    pub(super) org: OrgId,
    pub(super) agent: AgentId,
    pub(super) version: i32,
    /// No host takes it for the canary any more.
    pub(super) settled: bool,
}

pub(super) async fn withdrawn(db: &PgPool, limit: i64) -> Result<Vec<Withdrawn>> {
    let all = sqlx::query_as!(
        Withdrawn,
        r#"select org_id as "org: OrgId", agent_id as "agent: AgentId", version,
             (withdrawn_at < clock_timestamp() - $2::double precision * interval '1 millisecond') as "settled!"
           from withdrawn_canaries order by withdrawn_at limit $1"#,
        limit,
        SETTLED_MS,
    );
    Ok(all.fetch_all(db).await?)
}

/// Nobody is on it any more. One that was ended again meanwhile stays.
pub(super) async fn left(db: &PgPool, of: &Withdrawn) -> Result<()> {
    sqlx::query!(
        "delete from withdrawn_canaries where org_id = $1 and agent_id = $2 and version = $3
           and withdrawn_at < clock_timestamp() - $4::double precision * interval '1 millisecond'",
        of.org.0,
        of.agent.0,
        of.version,
        SETTLED_MS,
    )
    .execute(db)
    .await?;
    Ok(())
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

/// The newest runs that drew a version as the canary, from a time on. What the host, a model, or the bounds that a run was
/// started with came to says nothing of the version; here and below.
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
           from (select id, state from (
                   select id, state, stop_reason, bounds_named, created_at from runs
                   where org_id = $1 and agent_id = $2 and version = $3 and channel = 'canary' and not channel_named
                     and created_at >= $4
                   order by created_at desc limit $6) newest
                 where state in ('completed', 'failed', 'blocked')
                   and coalesce(stop_reason, '') not in ('host_error', 'model_error')
                   and not (bounds_named and coalesce(stop_reason, '') in ('fuel', 'deadline'))
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

/// The newest runs that drew a version as the stable one: among the newest of the agent from a time on, and among the newest
/// of those between an earlier time and it.
pub(super) async fn of_stable(
    db: &PgPool,
    (org, agent): (OrgId, AgentId),
    version: i32,
    (from, earlier): (OffsetDateTime, OffsetDateTime),
) -> Result<Figures> {
    let row = sqlx::query_as!(
        Row,
        r#"select count(*) as "runs!", count(*) filter (where r.state = 'failed') as "failed!",
             count(*) filter (where r.state = 'blocked') as "blocked!",
             percentile_disc(0.95) within group (order by u.wall_ms) as p95_ms,
             count(*) filter (where not u.unpriced) as "priced!",
             coalesce(sum(u.cost_picos) filter (where not u.unpriced), 0)::text as "cost_picos!"
           from (select id, state from (
                   (select id, state, stop_reason, bounds_named, channel_named, version, channel, created_at from runs
                    where org_id = $1 and agent_id = $2 and created_at >= $4
                    order by created_at desc, id desc limit $6)
                   union all
                   (select id, state, stop_reason, bounds_named, channel_named, version, channel, created_at from runs
                    where org_id = $1 and agent_id = $2 and created_at < $4 and created_at >= $7
                    order by created_at desc, id desc limit $6)) newest
                 where version = $3 and channel = 'stable' and not channel_named
                   and state in ('completed', 'failed', 'blocked')
                   and coalesce(stop_reason, '') not in ('host_error', 'model_error')
                   and not (bounds_named and coalesce(stop_reason, '') in ('fuel', 'deadline'))
                 order by created_at desc limit $5) r
           join usage_records u on u.org_id = $1 and u.run_id = r.id"#,
        org.0,
        agent.0,
        version,
        from,
        i64::from(RUNS_MAX),
        LOOKED_AT,
        earlier,
    );
    Ok(row.fetch_one(db).await?.into())
}
