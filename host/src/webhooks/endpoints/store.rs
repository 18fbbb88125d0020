//! The statements of endpoints.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::Endpoint;
use crate::identity::KeyId;
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};
use crate::webhooks::EndpointId;
use crate::webhooks::sign::Signature;

pub(super) struct Row {
    pub(super) id: EndpointId,
    pub(super) url: String,
    pub(super) description: String,
    pub(super) events: Vec<String>,
    pub(super) signature: String,
    pub(super) secret_sealed: Vec<u8>,
    pub(super) former_secret_until: Option<OffsetDateTime>,
    pub(super) last_success_at: Option<OffsetDateTime>,
    pub(super) failing_since: Option<OffsetDateTime>,
    pub(super) disabled_at: Option<OffsetDateTime>,
    pub(super) disabled_reason: Option<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
}

impl Row {
    /// What may be shown of it.
    pub(super) fn view(self) -> Endpoint {
        Endpoint {
            id: self.id,
            url: self.url,
            description: self.description,
            events: self.events,
            signature: Signature::named(&self.signature),
            enabled: self.disabled_at.is_none(),
            disabled_reason: self.disabled_reason,
            disabled_at: self.disabled_at,
            last_success_at: self.last_success_at,
            failing_since: self.failing_since,
            former_secret_until: self.former_secret_until,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// Held until the transaction ends: endpoints of one organization are made in turns.
pub(super) async fn lock_all(db: impl PgExecutor<'_>, org: OrgId) -> Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('webhook_endpoints ' || $1::uuid::text, 0))",
        org.0
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn count(db: impl PgExecutor<'_>, org: OrgId) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_endpoints where org_id = $1"#,
        org.0
    );
    Ok(count.fetch_one(db).await?)
}

pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (row, by): (&Row, KeyId),
) -> Result<()> {
    sqlx::query!(
        "insert into webhook_endpoints (org_id, id, url, description, events, signature, secret_sealed, created_at,
           created_by, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8)",
        org.0,
        row.id.0,
        row.url,
        row.description,
        &row.events,
        row.signature,
        row.secret_sealed,
        row.created_at,
        by.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn find(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select id as "id: EndpointId", url, description, events, signature, secret_sealed, former_secret_until,
             last_success_at, failing_since, disabled_at, disabled_reason, created_at, updated_at
           from webhook_endpoints where org_id = $1 and id = $2"#,
        org.0,
        id.0,
    )
    .fetch_optional(db)
    .await?)
}

/// Holds the endpoint until the transaction ends.
pub(super) async fn find_for_update(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select id as "id: EndpointId", url, description, events, signature, secret_sealed, former_secret_until,
             last_success_at, failing_since, disabled_at, disabled_reason, created_at, updated_at
           from webhook_endpoints where org_id = $1 and id = $2 for no key update"#,
        org.0,
        id.0,
    )
    .fetch_optional(db)
    .await?)
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    org: OrgId,
    start: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"select id as "id: EndpointId", url, description, events, signature, secret_sealed, former_secret_until,
             last_success_at, failing_since, disabled_at, disabled_reason, created_at, updated_at
           from webhook_endpoints
           where org_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3::uuid))
           order by created_at desc, id desc limit $4"#,
        org.0,
        start.map(|cursor| cursor.at),
        start.map(|cursor| cursor.id),
        limit,
    )
    .fetch_all(db)
    .await?)
}

/// Writes what can be changed. `afresh`: as if it had never been tried.
pub(super) async fn update(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (row, afresh): (&Row, bool),
) -> Result<()> {
    sqlx::query!(
        "update webhook_endpoints set url = $3, description = $4, events = $5, signature = $6, disabled_at = $7,
           disabled_reason = $8, failing_since = $9, updated_at = $10, lane = case when $11 then 1 else lane end
         where org_id = $1 and id = $2",
        org.0,
        row.id.0,
        row.url,
        row.description,
        &row.events,
        row.signature,
        row.disabled_at,
        row.disabled_reason,
        row.failing_since,
        row.updated_at,
        afresh,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Gives up what waits to be sent to an endpoint.
pub(super) async fn drop_waiting(
    db: impl PgExecutor<'_>,
    (org, id): (OrgId, EndpointId),
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "with dropped as (
           update webhook_deliveries set state = 'dropped', next_at = null, ended_at = $3
           where org_id = $1 and endpoint_id = $2 and next_at is not null)
         update webhook_endpoints set due_at = null where org_id = $1 and id = $2",
        org.0,
        id.0,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn delete(db: impl PgExecutor<'_>, org: OrgId, id: EndpointId) -> Result<bool> {
    let gone = sqlx::query!(
        "delete from webhook_endpoints where org_id = $1 and id = $2",
        org.0,
        id.0
    );
    Ok(gone.execute(db).await?.rows_affected() > 0)
}

pub(super) async fn rotate(
    db: impl PgExecutor<'_>,
    (org, id): (OrgId, EndpointId),
    sealed: &[u8],
    (now, until): (OffsetDateTime, OffsetDateTime),
) -> Result<Option<Row>> {
    Ok(sqlx::query_as!(
        Row,
        r#"update webhook_endpoints set former_secret_sealed = secret_sealed, former_secret_until = $5,
             secret_sealed = $3, updated_at = $4
           where org_id = $1 and id = $2
           returning id as "id: EndpointId", url, description, events, signature, secret_sealed, former_secret_until,
             last_success_at, failing_since, disabled_at, disabled_reason, created_at, updated_at"#,
        org.0,
        id.0,
        sealed,
        now,
        until,
    )
    .fetch_optional(db)
    .await?)
}

/// Whether an endpoint takes deliveries; it is held until the transaction ends.
pub(in crate::webhooks) async fn is_enabled(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: EndpointId,
) -> Result<Option<bool>> {
    Ok(sqlx::query_scalar!(
        r#"select disabled_at is null as "enabled!" from webhook_endpoints
           where org_id = $1 and id = $2 for no key update"#,
        org.0,
        id.0,
    )
    .fetch_optional(db)
    .await?)
}
