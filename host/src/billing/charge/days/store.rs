//! The statements of days that have something to report.

use sqlx::{PgConnection, PgExecutor};
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::BillingRowId;
use crate::kit::{OrgId, Result};

/// A day that is looked at, and what its rows would be called.
pub(super) struct Looked {
    pub(super) org: OrgId,
    pub(super) day: Date,
    pub(super) at: OffsetDateTime,
    /// Of runs, input tokens and output tokens.
    pub(super) ids: [BillingRowId; 3],
}

/// The first day that is reported; `today` where nobody asked before.
pub(super) async fn since(db: impl PgExecutor<'_>, today: Date) -> Result<Date> {
    let day = sqlx::query_scalar!(
        r#"with new as (
             insert into billing_since (day) select $1::date where not exists (select from billing_since)
             on conflict do nothing returning day)
           select coalesce((select day from billing_since), (select day from new), $1) as "day!""#,
        today,
    );
    Ok(day.fetch_one(db).await?)
}

/// What was used before charging began is not charged.
pub(super) async fn skip_before(db: impl PgExecutor<'_>, since: Date) -> Result<()> {
    sqlx::query!(
        "update billing_days set waits = false where waits and day < $1",
        since,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Days whose sums changed, oldest first, locked; another host takes others.
pub(super) async fn take_waiting(tx: &mut PgConnection, limit: i64) -> Result<Vec<(OrgId, Date)>> {
    let rows = sqlx::query!(
        r#"select org_id as "org: OrgId", day from billing_days where waits
           order by day, org_id limit $1 for update skip locked"#,
        limit,
    );
    let rows = rows.fetch_all(tx).await?;
    Ok(rows.into_iter().map(|row| (row.org, row.day)).collect())
}

/// Makes the rows of locked days. What was folded before the locks were had is seen; what comes later marks its day anew.
pub(super) async fn make(tx: &mut PgConnection, days: &[Looked], meters: &[String]) -> Result<()> {
    let ids = |of: usize| days.iter().map(|day| day.ids[of].0).collect::<Vec<Uuid>>();
    let orgs: Vec<Uuid> = days.iter().map(|day| day.org.0).collect();
    let dates: Vec<Date> = days.iter().map(|day| day.day).collect();
    let at: Vec<OffsetDateTime> = days.iter().map(|day| day.at).collect();
    sqlx::query!(
        "with looked as (
           select * from unnest($1::uuid[], $2::date[], $3::timestamptz[], $4::uuid[], $5::uuid[], $6::uuid[])
             as l (org_id, day, at, runs_id, input_id, output_id)),
         used as (
           select l.org_id, l.day, sum(r.runs)::bigint as runs, sum(r.input_tokens)::bigint as input_tokens,
             sum(r.output_tokens)::bigint as output_tokens
           from looked l join usage_rollups r on r.org_id = l.org_id and r.day = l.day group by l.org_id, l.day),
         made as (
           insert into billing_rows (org_id, id, meter, day, value, at, state)
           select l.org_id, m.id, m.meter, l.day, m.value, l.at, 'waiting'
           from looked l
           join used u on u.org_id = l.org_id and u.day = l.day
           join billing_days d on d.org_id = l.org_id and d.day = l.day
           cross join lateral (values
             (l.runs_id, 'runs', u.runs - d.runs),
             (l.input_id, 'input_tokens', u.input_tokens - d.input_tokens),
             (l.output_id, 'output_tokens', u.output_tokens - d.output_tokens)) as m (id, meter, value)
           where m.value > 0 and m.meter = any($7)
           returning org_id, day, meter, value)
         update billing_days d set waits = false,
           runs = d.runs + coalesce(
             (select value from made m where m.org_id = d.org_id and m.day = d.day and m.meter = 'runs'), 0),
           input_tokens = d.input_tokens + coalesce(
             (select value from made m where m.org_id = d.org_id and m.day = d.day and m.meter = 'input_tokens'), 0),
           output_tokens = d.output_tokens + coalesce(
             (select value from made m where m.org_id = d.org_id and m.day = d.day and m.meter = 'output_tokens'), 0)
         from looked l where d.org_id = l.org_id and d.day = l.day",
        &orgs,
        &dates,
        &at,
        &ids(0),
        &ids(1),
        &ids(2),
        meters,
    )
    .execute(tx)
    .await?;
    Ok(())
}
