//! The statements of caps: a month's row and its lock, what runs hold, and what was told.

use std::collections::{BTreeMap, HashMap};

use sqlx::{PgConnection, PgExecutor};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Amounts, Asker};
use crate::billing::period::Period;
use crate::kit::{OrgId, Result};

macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        &$rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// A month of an organization under its lock.
#[derive(Clone, Debug)]
pub(in crate::billing) struct Month {
    org: OrgId,
    period: Date,
    /// Runs that were admitted; `None` while nothing counts them.
    pub(super) taken: Option<i64>,
    pub(super) used: Amounts,
    pub(super) changed: bool,
}

/// What an open run holds.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) org: OrgId,
    pub(super) run: Uuid,
    pub(super) entered: Date,
    pub(super) period: Date,
    pub(super) at: OffsetDateTime,
    pub(super) taken: bool,
    pub(super) amounts: Amounts,
}

impl Hold {
    pub(super) fn new(asker: &Asker, taken: bool, amounts: Amounts) -> Self {
        let period = Period::of(asker.at).start;
        Self {
            org: asker.org,
            run: asker.run,
            entered: period,
            period,
            at: asker.at,
            taken,
            amounts,
        }
    }
}

fn number(text: &str) -> i128 {
    text.parse().unwrap_or(i128::MAX)
}

fn small(n: i128) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// What is read from here on is of one instant.
pub(in crate::billing) async fn one_snapshot(tx: &mut PgConnection) -> Result<()> {
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(tx)
        .await?;
    Ok(())
}

/// Locks the months in the order of their keys, and makes those that are not there.
pub(in crate::billing) async fn lock_months(
    tx: &mut PgConnection,
    keys: &[(OrgId, Date)],
) -> Result<BTreeMap<(OrgId, Date), Month>> {
    let orgs = column!(keys, (org, _) => org.0);
    let periods = column!(keys, (_, period) => *period);
    sqlx::query!(
        "insert into usage_periods (org_id, period)
         select k.org, k.period from unnest($1::uuid[], $2::date[]) as k (org, period)
         where not exists (select from usage_periods where org_id = k.org and period = k.period)
         order by 1, 2 on conflict do nothing",
        orgs,
        periods,
    )
    .execute(&mut *tx)
    .await?;
    let rows = sqlx::query!(
        r#"select p.org_id as "org: OrgId", p.period, p.runs_taken, p.input_tokens::text as "input!",
             p.output_tokens::text as "output!", p.cost_picos::text as "cost!"
           from usage_periods p join unnest($1::uuid[], $2::date[]) as k (org, period)
             on p.org_id = k.org and p.period = k.period
           order by p.org_id, p.period for update of p"#,
        orgs,
        periods,
    )
    .fetch_all(tx)
    .await?;
    let months = rows.into_iter().map(|row| {
        let month = Month {
            org: row.org,
            period: row.period,
            taken: row.runs_taken,
            used: Amounts {
                input_tokens: number(&row.input),
                output_tokens: number(&row.output),
                cost: number(&row.cost),
            },
            changed: false,
        };
        ((row.org, row.period), month)
    });
    Ok(months.collect())
}

/// Runs of the month so far: those that ended, and those that are open.
pub(super) async fn count_runs(tx: &mut PgConnection, (org, period): (OrgId, Date)) -> Result<i64> {
    let month = Period { start: period };
    let runs = sqlx::query_scalar!(
        r#"select (select count(*) from usage_records where org_id = $1 and at >= $2
               and coalesce(started_at, at - wall_ms * interval '1 millisecond') >= $2
               and coalesce(started_at, at - wall_ms * interval '1 millisecond') < $3)
             + (select count(*) from runs where org_id = $1 and ended_at is null and created_at >= $2
               and created_at < $3) as "runs!""#,
        org.0,
        month.begins(),
        month.ends(),
    );
    Ok(runs.fetch_one(tx).await?)
}

/// What is used and in no sum yet, and what open runs hold.
pub(super) async fn waiting(
    tx: &mut PgConnection,
    keys: &[(OrgId, Date)],
) -> Result<Vec<((OrgId, Date), Amounts)>> {
    let rows = sqlx::query!(
        r#"select k.org as "org!: OrgId", k.period as "period!", (u.input + h.input)::text as "input!",
             (u.output + h.output)::text as "output!", (u.cost + h.cost)::text as "cost!"
           from unnest($1::uuid[], $2::date[], $3::timestamptz[], $4::timestamptz[]) as k (org, period, start, next)
           cross join lateral (
             select coalesce(sum(r.input_tokens), 0) as input, coalesce(sum(r.output_tokens), 0) as output,
               coalesce(sum(r.cost_picos), 0) as cost
             from usage_unfolded f join usage_records r on r.org_id = f.org_id and r.run_id = f.run_id
             where f.org_id = k.org and r.at >= k.start and r.at < k.next) u
           cross join lateral (
             select coalesce(sum(input_tokens), 0) as input, coalesce(sum(output_tokens), 0) as output,
               coalesce(sum(cost_picos), 0) as cost
             from usage_holds where org_id = k.org and period = k.period) h"#,
        column!(keys, (org, _) => org.0),
        column!(keys, (_, period) => *period),
        column!(keys, (_, period) => Period { start: *period }.begins()),
        column!(keys, (_, period) => Period { start: *period }.ends()),
    )
    .fetch_all(tx)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let amounts = Amounts {
            input_tokens: number(&row.input),
            output_tokens: number(&row.output),
            cost: number(&row.cost),
        };
        ((row.org, row.period), amounts)
    });
    Ok(rows.collect())
}

pub(super) async fn holds_of(
    tx: &mut PgConnection,
    runs: &[(OrgId, Uuid)],
) -> Result<HashMap<(OrgId, Uuid), Hold>> {
    let rows = sqlx::query!(
        r#"select h.org_id as "org: OrgId", h.run_id, h.entered, h.period, h.at, h.taken, h.input_tokens,
             h.output_tokens, h.cost_picos
           from usage_holds h join unnest($1::uuid[], $2::uuid[]) as k (org, run)
             on h.org_id = k.org and h.run_id = k.run"#,
        column!(runs, (org, _) => org.0),
        column!(runs, (_, run) => *run),
    )
    .fetch_all(tx)
    .await?;
    let holds = rows.into_iter().map(|row| {
        let hold = Hold {
            org: row.org,
            run: row.run_id,
            entered: row.entered,
            period: row.period,
            at: row.at,
            taken: row.taken,
            amounts: Amounts {
                input_tokens: row.input_tokens.into(),
                output_tokens: row.output_tokens.into(),
                cost: row.cost_picos.into(),
            },
        };
        ((hold.org, hold.run), hold)
    });
    Ok(holds.collect())
}

pub(super) async fn put_holds(tx: &mut PgConnection, holds: &[&Hold]) -> Result<()> {
    if holds.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into usage_holds (org_id, run_id, entered, period, at, taken, input_tokens, output_tokens, cost_picos)
         select * from unnest($1::uuid[], $2::uuid[], $3::date[], $4::date[], $5::timestamptz[], $6::boolean[],
           $7::bigint[], $8::bigint[], $9::bigint[])
         on conflict on constraint usage_holds_pkey do update set
           period = excluded.period, input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
           cost_picos = excluded.cost_picos",
        column!(holds, hold => hold.org.0),
        column!(holds, hold => hold.run),
        column!(holds, hold => hold.entered),
        column!(holds, hold => hold.period),
        column!(holds, hold => hold.at),
        column!(holds, hold => hold.taken),
        column!(holds, hold => small(hold.amounts.input_tokens)),
        column!(holds, hold => small(hold.amounts.output_tokens)),
        column!(holds, hold => small(hold.amounts.cost)),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What runs held is in their usage rows by now, or they never began.
pub(in crate::billing) async fn delete_holds(
    tx: &mut PgConnection,
    runs: &[(OrgId, Uuid)],
) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "delete from usage_holds h using unnest($1::uuid[], $2::uuid[]) as k (org, run)
         where h.org_id = k.org and h.run_id = k.run",
        column!(runs, (org, _) => org.0),
        column!(runs, (_, run) => *run),
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn set_taken(tx: &mut PgConnection, months: &[&Month]) -> Result<()> {
    if months.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update usage_periods p set runs_taken = k.taken
         from unnest($1::uuid[], $2::date[], $3::bigint[]) as k (org, period, taken)
         where p.org_id = k.org and p.period = k.period",
        column!(months, month => month.org.0),
        column!(months, month => month.period),
        column!(months, month => month.taken) as &[Option<i64>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Runs that were admitted in the month, where they are counted.
pub(super) async fn taken(
    db: impl PgExecutor<'_>,
    org: OrgId,
    period: Date,
) -> Result<Option<i64>> {
    let taken = sqlx::query_scalar!(
        "select runs_taken from usage_periods where org_id = $1 and period = $2",
        org.0,
        period,
    );
    Ok(taken.fetch_optional(db).await?.flatten())
}

/// Months in which a run holds something since before `at` though it never began, or has ended.
pub(in crate::billing) async fn stale(
    db: impl PgExecutor<'_>,
    at: OffsetDateTime,
) -> Result<Vec<(OrgId, Date)>> {
    let rows = sqlx::query!(
        r#"select distinct h.org_id as "org: OrgId", h.entered from usage_holds h
           where h.at < $1 and not exists (
             select from runs r where r.org_id = h.org_id and r.id = h.run_id and r.ended_at is null)
           order by 1, 2"#,
        at,
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.org, row.entered)).collect())
}

/// Gives back what they hold, under the locks of their months.
pub(in crate::billing) async fn release(
    tx: &mut PgConnection,
    (org, entered): (OrgId, Date),
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "with gone as (
           delete from usage_holds h where h.org_id = $1 and h.entered = $2 and h.at < $3 and not exists (
             select from runs r where r.org_id = h.org_id and r.id = h.run_id and r.ended_at is null)
           returning h.run_id, h.taken),
         never as (
           select count(*) as runs from gone g where g.taken and not exists (
             select from runs r where r.org_id = $1 and r.id = g.run_id))
         update usage_periods set runs_taken = runs_taken - never.runs from never
         where org_id = $1 and period = $2 and never.runs > 0",
        org.0,
        entered,
        at,
    )
    .execute(tx)
    .await?;
    Ok(())
}
