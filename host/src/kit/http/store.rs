//! The statements of idempotency keys. A row is a claim until it has a status, then an answer.

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::kit::Result;

/// The status of a row whose answer was a stream and is not kept.
pub(super) const STREAM: i32 = 0;

/// A key's row after the claim.
pub(super) struct Row {
    pub(super) body: Vec<u8>,
    pub(super) assigned: Uuid,
    /// Whose claim it is: the token of the request that made or took it over.
    pub(super) claim: Uuid,
    pub(super) status: Option<i32>,
    pub(super) headers: Option<serde_json::Value>,
    pub(super) answer: Option<Vec<u8>>,
}

pub(super) struct Times {
    pub(super) now: OffsetDateTime,
    /// Rows claimed before this are forgotten.
    pub(super) expired: OffsetDateTime,
    /// Claims made before this and never answered may be taken over, keeping the assigned id.
    pub(super) abandoned: OffsetDateTime,
}

pub(super) async fn claim(
    db: &PgPool,
    (scope, body): (&[u8], &[u8]),
    token: Uuid,
    times: Times,
) -> Result<Row> {
    let row = sqlx::query_as!(
        Row,
        r#"insert into idempotency_keys as k (scope, body, assigned, claim, claimed_at)
           values ($1, $2, $3, $3, $4)
           on conflict (scope) do update set
             assigned = case when k.claimed_at < $5 then excluded.assigned else k.assigned end,
             body = case when k.claimed_at < $5 then excluded.body else k.body end,
             status = case when k.claimed_at < $5 then null else k.status end,
             claim = case when k.claimed_at < $5 or (k.status is null and k.claimed_at < $6)
               then excluded.claim else k.claim end,
             claimed_at = case when k.claimed_at < $5 or (k.status is null and k.claimed_at < $6)
               then excluded.claimed_at else k.claimed_at end
           returning body, assigned, claim, status, headers, answer"#,
        scope,
        body,
        token,
        times.now,
        times.expired,
        times.abandoned,
    )
    .fetch_one(db)
    .await?;
    Ok(row)
}

/// Gives the key back: nothing was done under it.
pub(super) async fn release(db: &PgPool, (scope, claim): (&[u8], Uuid)) -> Result<()> {
    sqlx::query!(
        "delete from idempotency_keys where scope = $1 and claim = $2 and status is null",
        scope,
        claim
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Somebody is still at work under the key.
pub(super) async fn renew(
    db: &PgPool,
    (scope, claim): (&[u8], Uuid),
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "update idempotency_keys set claimed_at = $3 where scope = $1 and claim = $2 and status is null",
        scope,
        claim,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn keep(
    db: &PgPool,
    (scope, claim): (&[u8], Uuid),
    status: i32,
    answer: Option<(&serde_json::Value, &[u8])>,
) -> Result<()> {
    let (headers, body) = answer.unzip();
    sqlx::query!(
        "update idempotency_keys set status = $2, headers = $3, answer = $4 where scope = $1 and claim = $5",
        scope,
        status,
        headers,
        body,
        claim,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes keys nobody may use any more.
pub async fn forget_expired(db: &PgPool, before: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query!("delete from idempotency_keys where claimed_at < $1", before)
        .execute(db)
        .await?;
    Ok(done.rows_affected())
}
