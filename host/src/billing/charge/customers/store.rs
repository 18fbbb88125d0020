//! The statements of customers, and of the queues that they are.

use sqlx::PgExecutor;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::export::Window;
use crate::kit::{OrgId, Result};

/// An organization that this host reports for.
#[derive(Clone, Debug)]
pub(in crate::billing::charge) struct Leased {
    pub(in crate::billing::charge) org: OrgId,
    pub(in crate::billing::charge) slug: String,
    pub(in crate::billing::charge) lease: Uuid,
    pub(in crate::billing::charge) has_customer: bool,
    pub(in crate::billing::charge) given_up: i32,
    pub(in crate::billing::charge) asked_at: Option<OffsetDateTime>,
    pub(in crate::billing::charge) failures: i32,
}

/// Every organization is to become a customer.
pub(in crate::billing::charge) async fn enroll(db: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query!(
        "insert into billing_customers (org_id)
         select id from organizations o
         where not exists (select from billing_customers c where c.org_id = o.id) order by id
         on conflict do nothing"
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Leases organizations that are no customers yet or have rows to send, those that waited longest first.
pub(in crate::billing::charge) async fn lease(
    db: impl PgExecutor<'_>,
    limit: i64,
    (lease, until): (Uuid, OffsetDateTime),
    window: &Window,
) -> Result<Vec<Leased>> {
    let rows = sqlx::query!(
        r#"with due as (
             select c.org_id from billing_customers c
             where (c.not_before is null or c.not_before <= $3) and (c.leased_until is null or c.leased_until <= $3)
               and (c.customer is null or exists (
                 select from billing_rows r where r.org_id = c.org_id and r.state in ('waiting', 'attempted')
                   and (r.first_attempt_at is null or r.first_attempt_at > $5)
                   and r.at > $6 and r.at <= $7 and r.meter = any($8)))
             order by c.not_before nulls first, c.org_id limit $1 for update skip locked)
           update billing_customers c set lease = $2, leased_until = $4
           from due join organizations o on o.id = due.org_id where c.org_id = due.org_id
           returning c.org_id as "org: OrgId", o.slug, (c.customer is not null) as "has_customer!", c.given_up,
             c.asked_at, c.failures"#,
        limit,
        lease,
        window.now,
        until,
        window.attempted_after,
        window.after,
        window.until,
        &window.meters,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter().map(|row| Leased {
        org: row.org,
        slug: row.slug,
        lease,
        has_customer: row.has_customer,
        given_up: row.given_up,
        asked_at: row.asked_at,
        failures: row.failures,
    });
    Ok(rows.collect())
}

/// Ends a lease; the organization's turn comes at `not_before` at the earliest.
pub(in crate::billing::charge) async fn give_back(
    db: impl PgExecutor<'_>,
    queue: &Leased,
    (failures, not_before): (i32, Option<OffsetDateTime>),
) -> Result<()> {
    sqlx::query!(
        "update billing_customers set lease = null, leased_until = null, failures = $3, not_before = $4
         where org_id = $1 and lease = $2",
        queue.org.0,
        queue.lease,
        failures,
        not_before,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Written before it is asked for.
pub(super) async fn asking(db: impl PgExecutor<'_>, org: OrgId, now: OffsetDateTime) -> Result<()> {
    sqlx::query!(
        "update billing_customers set asked_at = coalesce(asked_at, $2) where org_id = $1",
        org.0,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What was asked for is not there: it is asked for anew.
pub(super) async fn give_up(db: impl PgExecutor<'_>, org: OrgId, given_up: i32) -> Result<()> {
    sqlx::query!(
        "update billing_customers set given_up = $2, asked_at = null where org_id = $1",
        org.0,
        given_up,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The first name stands.
pub(super) async fn put(db: impl PgExecutor<'_>, org: OrgId, customer: &str) -> Result<()> {
    sqlx::query!(
        "update billing_customers set customer = $2 where org_id = $1 and customer is null",
        org.0,
        customer,
    )
    .execute(db)
    .await?;
    Ok(())
}
