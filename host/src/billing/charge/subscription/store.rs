//! The statements of what the provider told.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use crate::kit::{OrgId, Result};

/// Whose customer it is, and what decided its tier.
pub(super) struct Known {
    pub(super) org: OrgId,
    pub(super) subscription: Option<String>,
    pub(super) heard_at: Option<OffsetDateTime>,
}

/// `false` where the event was taken before.
pub(super) async fn hear(db: impl PgExecutor<'_>, id: &str, now: OffsetDateTime) -> Result<bool> {
    let new = sqlx::query!(
        "insert into billing_events as e (id, at, taken) values ($1, $2, true)
         on conflict on constraint billing_events_pkey do update set taken = true, at = excluded.at where not e.taken",
        id,
        now,
    );
    Ok(new.execute(db).await?.rows_affected() > 0)
}

/// `false` where it was refused before.
pub(super) async fn refuse(db: impl PgExecutor<'_>, id: &str, now: OffsetDateTime) -> Result<bool> {
    let new = sqlx::query!(
        "insert into billing_events (id, at, taken) values ($1, $2, false) on conflict do nothing",
        id,
        now,
    );
    Ok(new.execute(db).await?.rows_affected() > 0)
}

/// Remembers that a subscription ended, as an event of its own, for as long as events are kept.
pub(super) async fn end(
    db: impl PgExecutor<'_>,
    subscription: &str,
    at: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into billing_events as e (id, at, taken) values ($1, $2, true)
         on conflict on constraint billing_events_pkey do update set at = greatest(e.at, excluded.at)",
        end_of(subscription),
        at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether it ended then or later.
pub(super) async fn ended(
    db: impl PgExecutor<'_>,
    subscription: &str,
    at: OffsetDateTime,
) -> Result<bool> {
    let ended = sqlx::query_scalar!(
        r#"select exists (select from billing_events where id = $1 and at >= $2) as "ended!""#,
        end_of(subscription),
        at,
    );
    Ok(ended.fetch_one(db).await?)
}

/// No event of the provider's is called so.
fn end_of(subscription: &str) -> String {
    format!("end of {subscription}")
}

pub(super) async fn forget(db: impl PgExecutor<'_>, before: OffsetDateTime) -> Result<()> {
    sqlx::query!("delete from billing_events where at < $1", before)
        .execute(db)
        .await?;
    Ok(())
}

pub(super) async fn lock_customer(
    db: impl PgExecutor<'_>,
    customer: &str,
) -> Result<Option<Known>> {
    let known = sqlx::query_as!(
        Known,
        r#"select org_id as "org: OrgId", subscription, heard_at from billing_customers where customer = $1 for update"#,
        customer,
    );
    Ok(known.fetch_optional(db).await?)
}

/// What decides from here on.
pub(super) async fn heard(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (subscription, at): (Option<&str>, OffsetDateTime),
) -> Result<()> {
    sqlx::query!(
        "update billing_customers set subscription = $2, heard_at = $3 where org_id = $1",
        org.0,
        subscription,
        at,
    )
    .execute(db)
    .await?;
    Ok(())
}
