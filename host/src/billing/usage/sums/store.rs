//! The statements that add up and read sums. A fold deletes what it adds in the same statement, so a row is in the sums
//! or waits, never both; a reader sees one snapshot of the two.

use sqlx::{PgConnection, PgExecutor};
use time::{Date, OffsetDateTime};

use super::Sums;
use crate::billing::prices::Money;
use crate::kit::{OrgId, Result};

/// Who adds up takes turns by this.
const FOLD_LOCK: i64 = 0x0062_6c6b_5f66_6f6c;

/// `false` where another node is at it. Held until the transaction ends.
pub(in crate::billing) async fn take_turn(tx: &mut PgConnection) -> Result<bool> {
    let taken = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock($1) as "taken!""#,
        FOLD_LOCK
    );
    Ok(taken.fetch_one(tx).await?)
}

/// Generations that no row of their own accounts for, as a host of before ends them: one row for all of a run.
pub(in crate::billing) async fn complete_steps(tx: &mut PgConnection, runs: i64) -> Result<()> {
    sqlx::query!(
        "insert into usage_steps (org_id, run_id, seq, lost, agent_id, version, at, connection, model, input_tokens,
           output_tokens, cached_tokens, reasoning_tokens, estimated, cost_picos)
         select u.org_id, u.run_id, 0, false, u.agent_id, u.version, u.at, '', '', u.input_tokens - s.input,
           u.output_tokens - s.output, 0, 0, u.estimated, null
         from (select org_id, run_id from usage_unfolded order by org_id, run_id limit $1) f
         join usage_records u on u.org_id = f.org_id and u.run_id = f.run_id
         cross join lateral (
           select coalesce(sum(input_tokens), 0)::bigint as input, coalesce(sum(output_tokens), 0)::bigint as output
           from usage_steps where org_id = u.org_id and run_id = u.run_id) s
         where u.state is null and (u.input_tokens > s.input or u.output_tokens > s.output)
         on conflict do nothing",
        runs,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds up at most so many runs; how many there were, and the months that grew.
pub(in crate::billing) async fn fold(
    tx: &mut PgConnection,
    runs: i64,
) -> Result<(i64, Vec<(OrgId, Date)>)> {
    let rows = sqlx::query!(
        r#"with taken as (
             delete from usage_unfolded where (org_id, run_id) in (
               select org_id, run_id from usage_unfolded order by org_id, run_id limit $1)
             returning org_id, run_id),
           u as materialized (
             select r.*, (r.at at time zone 'utc')::date as day
             from taken t join usage_records r on r.org_id = t.org_id and r.run_id = t.run_id),
           s as (
             select s.*, (s.at at time zone 'utc')::date as day
             from taken t join usage_steps s on s.org_id = t.org_id and s.run_id = t.run_id),
           days as (
             insert into usage_rollups as o
             select org_id, day, agent_id, version, count(*), count(*) filter (where state = 'failed'),
               count(*) filter (where state = 'cancelled'), count(*) filter (where state = 'blocked'),
               count(*) filter (where estimated), count(*) filter (where unpriced),
               sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(reasoning_tokens), sum(fuel),
               sum(wall_ms), max(memory_peak_bytes), sum(host_calls), sum(tool_calls), sum(egress_bytes),
               sum(knowledge_queries), sum(cost_picos)
             from u group by org_id, day, agent_id, version order by org_id, day, agent_id, version
             on conflict on constraint usage_rollups_pkey do update set
               runs = o.runs + excluded.runs, failed = o.failed + excluded.failed,
               cancelled = o.cancelled + excluded.cancelled, blocked = o.blocked + excluded.blocked,
               estimated = o.estimated + excluded.estimated, unpriced = o.unpriced + excluded.unpriced,
               input_tokens = o.input_tokens + excluded.input_tokens,
               output_tokens = o.output_tokens + excluded.output_tokens,
               cached_tokens = o.cached_tokens + excluded.cached_tokens,
               reasoning_tokens = o.reasoning_tokens + excluded.reasoning_tokens,
               fuel = o.fuel + excluded.fuel, wall_ms = o.wall_ms + excluded.wall_ms,
               memory_peak_bytes = greatest(o.memory_peak_bytes, excluded.memory_peak_bytes),
               host_calls = o.host_calls + excluded.host_calls, tool_calls = o.tool_calls + excluded.tool_calls,
               egress_bytes = o.egress_bytes + excluded.egress_bytes,
               knowledge_queries = o.knowledge_queries + excluded.knowledge_queries,
               cost_picos = o.cost_picos + excluded.cost_picos),
           models as (
             insert into usage_model_rollups as o
             select org_id, day, connection, model, count(*), count(*) filter (where estimated),
               count(*) filter (where cost_picos is null), sum(input_tokens), sum(output_tokens), sum(cached_tokens),
               sum(reasoning_tokens), coalesce(sum(cost_picos), 0)
             from s group by org_id, day, connection, model order by org_id, day, connection, model
             on conflict on constraint usage_model_rollups_pkey do update set
               generations = o.generations + excluded.generations, estimated = o.estimated + excluded.estimated,
               unpriced = o.unpriced + excluded.unpriced, input_tokens = o.input_tokens + excluded.input_tokens,
               output_tokens = o.output_tokens + excluded.output_tokens,
               cached_tokens = o.cached_tokens + excluded.cached_tokens,
               reasoning_tokens = o.reasoning_tokens + excluded.reasoning_tokens,
               cost_picos = o.cost_picos + excluded.cost_picos),
           months as (
             insert into usage_periods as o (org_id, period, runs, input_tokens, output_tokens, cost_picos)
             select org_id, date_trunc('month', day)::date, count(*), sum(input_tokens), sum(output_tokens),
               sum(cost_picos)
             from u group by 1, 2 order by 1, 2
             on conflict on constraint usage_periods_pkey do update set
               runs = o.runs + excluded.runs, input_tokens = o.input_tokens + excluded.input_tokens,
               output_tokens = o.output_tokens + excluded.output_tokens,
               cost_picos = o.cost_picos + excluded.cost_picos
             returning org_id, period)
           select m.org_id as "org: OrgId", m.period, (select count(*) from taken) as "taken!" from months m"#,
        runs,
    )
    .fetch_all(tx)
    .await?;
    let taken = rows.first().map_or(0, |row| row.taken);
    Ok((
        taken,
        rows.into_iter().map(|row| (row.org, row.period)).collect(),
    ))
}

/// What runs were summed up by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::billing) struct RunKey {
    pub(in crate::billing) day: Option<Date>,
    pub(in crate::billing) agent: Option<String>,
    pub(in crate::billing) version: Option<i32>,
}

fn number(text: &str) -> i128 {
    text.parse().unwrap_or(i128::MAX)
}

/// The runs of an organization that ended in `[from, to)`, by any of day, agent and version.
pub(in crate::billing) async fn of_runs(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (from, to): (OffsetDateTime, OffsetDateTime),
    (by_day, by_agent, by_version): (bool, bool, bool),
) -> Result<Vec<(RunKey, Sums)>> {
    let rows = sqlx::query!(
        r#"with parts as (
             select day, agent_id, version, runs, failed, cancelled, blocked, estimated, unpriced, input_tokens,
               output_tokens, cached_tokens, reasoning_tokens, fuel, wall_ms, memory_peak_bytes, host_calls,
               tool_calls, egress_bytes, knowledge_queries, cost_picos
             from usage_rollups where org_id = $1
               and day >= ($2::timestamptz at time zone 'utc')::date and day < ($3::timestamptz at time zone 'utc')::date
             union all
             select (u.at at time zone 'utc')::date, u.agent_id, u.version, 1, (u.state = 'failed')::int,
               (u.state = 'cancelled')::int, (u.state = 'blocked')::int, u.estimated::int, u.unpriced::int,
               u.input_tokens, u.output_tokens, u.cached_tokens, u.reasoning_tokens, u.fuel, u.wall_ms,
               u.memory_peak_bytes, u.host_calls, u.tool_calls, u.egress_bytes, u.knowledge_queries, u.cost_picos
             from usage_unfolded f join usage_records u on u.org_id = f.org_id and u.run_id = f.run_id
             where f.org_id = $1 and u.at >= $2 and u.at < $3)
           select case when $4 then day end as day, case when $5 then coalesce(a.name, p.agent_id::text) end as agent,
             case when $6 then version end as version, sum(runs)::text as "runs!",
             coalesce(sum(failed), 0)::text as "failed!", coalesce(sum(cancelled), 0)::text as "cancelled!",
             coalesce(sum(blocked), 0)::text as "blocked!", sum(estimated)::text as "estimated!",
             sum(unpriced)::text as "unpriced!", sum(input_tokens)::text as "input!",
             sum(output_tokens)::text as "output!", sum(cached_tokens)::text as "cached!",
             sum(reasoning_tokens)::text as "reasoning!", sum(fuel)::text as "fuel!", sum(wall_ms)::text as "wall_ms!",
             max(memory_peak_bytes)::text as "memory!", sum(host_calls)::text as "host_calls!",
             sum(tool_calls)::text as "tool_calls!", sum(egress_bytes)::text as "egress!",
             sum(knowledge_queries)::text as "knowledge!", sum(cost_picos)::text as "cost!"
           from parts p left join agents a on a.org_id = $1 and a.id = p.agent_id
           group by 1, 2, 3 order by 1, 2, 3"#,
        org.0,
        from,
        to,
        by_day,
        by_agent,
        by_version,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let key = RunKey {
            day: row.day,
            agent: row.agent,
            version: row.version,
        };
        let sums = Sums {
            count: number(&row.runs),
            failed: number(&row.failed),
            cancelled: number(&row.cancelled),
            blocked: number(&row.blocked),
            estimated: number(&row.estimated),
            unpriced: number(&row.unpriced),
            input_tokens: number(&row.input),
            output_tokens: number(&row.output),
            cached_tokens: number(&row.cached),
            reasoning_tokens: number(&row.reasoning),
            fuel: number(&row.fuel),
            wall_ms: number(&row.wall_ms),
            memory_peak_bytes: number(&row.memory),
            host_calls: number(&row.host_calls),
            tool_calls: number(&row.tool_calls),
            egress_bytes: number(&row.egress),
            knowledge_queries: number(&row.knowledge),
            cost: Money(number(&row.cost)),
        };
        (key, sums)
    });
    Ok(rows.collect())
}

/// The generations of runs that ended in `[from, to)`, by connection and model.
pub(in crate::billing) async fn of_models(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (from, to): (OffsetDateTime, OffsetDateTime),
) -> Result<Vec<((String, String), Sums)>> {
    let rows = sqlx::query!(
        r#"with parts as (
             select connection, model, generations, estimated, unpriced, input_tokens, output_tokens, cached_tokens,
               reasoning_tokens, cost_picos
             from usage_model_rollups where org_id = $1
               and day >= ($2::timestamptz at time zone 'utc')::date and day < ($3::timestamptz at time zone 'utc')::date
             union all
             select s.connection, s.model, 1, s.estimated::int, (s.cost_picos is null)::int, s.input_tokens,
               s.output_tokens, s.cached_tokens, s.reasoning_tokens, coalesce(s.cost_picos, 0)
             from usage_unfolded f join usage_steps s on s.org_id = f.org_id and s.run_id = f.run_id
             where f.org_id = $1 and s.at >= $2 and s.at < $3)
           select connection as "connection!", model as "model!", sum(generations)::text as "generations!",
             sum(estimated)::text as "estimated!", sum(unpriced)::text as "unpriced!",
             sum(input_tokens)::text as "input!", sum(output_tokens)::text as "output!",
             sum(cached_tokens)::text as "cached!", sum(reasoning_tokens)::text as "reasoning!",
             sum(cost_picos)::text as "cost!"
           from parts group by 1, 2 order by 1, 2"#,
        org.0,
        from,
        to,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let sums = Sums {
            count: number(&row.generations),
            estimated: number(&row.estimated),
            unpriced: number(&row.unpriced),
            input_tokens: number(&row.input),
            output_tokens: number(&row.output),
            cached_tokens: number(&row.cached),
            reasoning_tokens: number(&row.reasoning),
            cost: Money(number(&row.cost)),
            ..Sums::default()
        };
        ((row.connection, row.model), sums)
    });
    Ok(rows.collect())
}
