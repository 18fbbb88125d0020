//! The statements of rows that are reported.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::BillingRowId;
use super::Window;
use crate::kit::{OrgId, Result};

/// A row that is being sent.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) id: BillingRowId,
    pub(super) customer: String,
    pub(super) meter: String,
    pub(super) value: i64,
    pub(super) at: OffsetDateTime,
    pub(super) number: i32,
    pub(super) failed_answers: i32,
    /// An earlier attempt may have arrived.
    pub(super) tried: bool,
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Exported(String),
    /// Nothing of it arrived.
    Waiting(String),
    /// It may have arrived.
    Attempted {
        said: String,
        answered: bool,
    },
    /// Why, and in which words.
    Reconcile(&'static str, String),
}

impl Verdict {
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Exported(_) => "exported",
            Self::Waiting(_) => "waiting",
            Self::Attempted { .. } => "unknown",
            Self::Reconcile(reason, _) => reason,
        }
    }
}

/// Rows that must not be sent any more, told once. What is under a lease may be on its way in this moment.
pub(super) async fn expire(
    db: impl PgExecutor<'_>,
    window: &Window,
    (unknown, old): (&str, &str),
) -> Result<Vec<(BillingRowId, String)>> {
    let rows = sqlx::query!(
        r#"update billing_rows r
           set state = 'reconcile', settled_at = $1,
             reason = case when r.first_attempt_at is null then $5 else $4 end
           where r.state in ('waiting', 'attempted')
             and (r.first_attempt_at <= $2 or r.at <= $3)
             and not exists (
               select from billing_customers c where c.org_id = r.org_id and c.leased_until > $1)
           returning r.id as "id: BillingRowId", r.reason as "reason!""#,
        window.now,
        window.attempted_after,
        window.after,
        unknown,
        old,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.reason)).collect())
}

/// Takes the oldest row that may be sent and writes that it is attempted, while the lease is held.
pub(super) async fn begin(
    db: impl PgExecutor<'_>,
    (org, lease, until): (OrgId, Uuid, OffsetDateTime),
    window: &Window,
) -> Result<Option<Attempt>> {
    let row = sqlx::query!(
        r#"with held as (
             update billing_customers set leased_until = $3 where org_id = $1 and lease = $2 returning customer),
           next as (
             select r.id, r.first_attempt_at from billing_rows r
             where r.org_id = $1 and r.state in ('waiting', 'attempted') and exists (select from held)
               and (r.first_attempt_at is null or r.first_attempt_at > $5)
               and r.at > $6 and r.at <= $7 and r.meter = any($8)
             order by r.at, r.id limit 1)
           update billing_rows r
           set state = 'attempted', attempts = r.attempts + 1, first_attempt_at = coalesce(r.first_attempt_at, $4)
           from next, held where r.org_id = $1 and r.id = next.id
           returning r.id as "id: BillingRowId", held.customer as "customer!", r.meter, r.value, r.at,
             r.attempts, r.failed_answers, (next.first_attempt_at is not null) as "tried!""#,
        org.0,
        lease,
        until,
        window.now,
        window.attempted_after,
        window.after,
        window.until,
        &window.meters,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Attempt {
        id: row.id,
        customer: row.customer,
        meter: row.meter,
        value: row.value,
        at: row.at,
        number: row.attempts,
        failed_answers: row.failed_answers,
        tried: row.tried,
    }))
}

/// What came of it; `false` where the row was settled, or is attempted by another, meanwhile: it stays as it is.
pub(super) async fn settle(
    db: impl PgExecutor<'_>,
    (org, attempt): (OrgId, &Attempt),
    (verdict, now): (&Verdict, OffsetDateTime),
) -> Result<bool> {
    let (state, reason, said) = match verdict {
        Verdict::Exported(said) => ("exported", None, said),
        Verdict::Waiting(said) => ("waiting", None, said),
        Verdict::Attempted { said, .. } => ("attempted", None, said),
        Verdict::Reconcile(reason, said) => ("reconcile", Some(*reason), said),
    };
    let answered = matches!(verdict, Verdict::Attempted { answered: true, .. });
    let settled = sqlx::query!(
        "update billing_rows set state = $3, reason = $4, said = nullif($5, ''),
           exports = exports + ($3 = 'exported')::int, failed_answers = failed_answers + $7::boolean::int,
           first_attempt_at = case when $3 = 'waiting' then null else first_attempt_at end,
           settled_at = case when $3 in ('exported', 'reconcile') then $6::timestamptz end
         where org_id = $1 and id = $2 and state = 'attempted' and attempts = $8",
        org.0,
        attempt.id.0,
        state,
        reason,
        said,
        now,
        answered,
        attempt.number,
    );
    Ok(settled.execute(db).await?.rows_affected() > 0)
}
