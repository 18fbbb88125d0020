//! The statements of rows that wait for a person.

use sqlx::{PgConnection, PgExecutor};
use time::OffsetDateTime;

use super::super::BillingRowId;
use super::Reconciled;
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};

/// A row as it stands under its lock.
pub(super) struct Locked {
    pub(super) org: OrgId,
    pub(super) state: String,
    pub(super) reason: Option<String>,
    pub(super) meter: String,
    pub(super) value: i64,
    pub(super) at: OffsetDateTime,
}

pub(super) async fn of_org(
    db: impl PgExecutor<'_>,
    org: OrgId,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Reconciled>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query_as!(
        Reconciled,
        r#"select r.id as "id: BillingRowId", o.slug as org, r.meter, r.day::text as "day!", r.value, r.at,
             r.reason as "reason!", r.attempts, r.first_attempt_at, r.said
           from billing_rows r join organizations o on o.id = r.org_id
           where r.org_id = $1 and r.state = 'reconcile' and ($2::timestamptz is null or (r.at, r.id) < ($2, $3))
           order by r.at desc, r.id desc limit $4"#,
        org.0,
        at,
        id,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

/// Of every organization: only whoever holds the database asks.
pub(super) async fn all(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Reconciled>> {
    let rows = sqlx::query_as!(
        Reconciled,
        r#"select r.id as "id: BillingRowId", o.slug as org, r.meter, r.day::text as "day!", r.value, r.at,
             r.reason as "reason!", r.attempts, r.first_attempt_at, r.said
           from billing_rows r join organizations o on o.id = r.org_id
           where r.state = 'reconcile' order by r.at, r.id limit $1"#,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}

pub(super) async fn lock(tx: &mut PgConnection, id: BillingRowId) -> Result<Option<Locked>> {
    let row = sqlx::query_as!(
        Locked,
        r#"select org_id as "org: OrgId", state, reason, meter, value, at from billing_rows where id = $1 for update"#,
        id.0,
    );
    Ok(row.fetch_optional(tx).await?)
}

pub(super) async fn settle_exported(
    tx: &mut PgConnection,
    id: BillingRowId,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "update billing_rows set state = 'exported', settled_at = $2, settled_by = 'operator' where id = $1",
        id.0,
        now,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Under a new idempotency key: what was answered under the old one may be answered again.
pub(super) async fn send_again(tx: &mut PgConnection, id: BillingRowId) -> Result<()> {
    sqlx::query!(
        "update billing_rows set state = 'waiting', reason = null, first_attempt_at = null, settled_at = null,
           failed_answers = failed_answers + 1 where id = $1",
        id.0,
    )
    .execute(tx)
    .await?;
    Ok(())
}
