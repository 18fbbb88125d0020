//! The statements of publishers' keys and of what is asked of uploads.

use sqlx::{PgExecutor, PgPool};
use time::OffsetDateTime;

use super::{Publisher, PublisherId};
use crate::identity::KeyId;
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};

struct Row {
    id: PublisherId,
    name: String,
    public_key: Vec<u8>,
    created_at: OffsetDateTime,
    revoked_at: Option<OffsetDateTime>,
}

impl From<Row> for Publisher {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            public_key: hex::encode(row.public_key),
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        }
    }
}

/// Held until the transaction ends: what decides who may upload takes turns.
pub(super) async fn lock(db: impl PgExecutor<'_>, org: OrgId) -> Result<()> {
    sqlx::query!(
        "select id from organizations where id = $1 for no key update",
        org.0
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

/// Whether it is new: one of the same bytes that is valid stays.
pub(super) async fn insert(
    db: impl PgExecutor<'_>,
    (org, by): (OrgId, KeyId),
    (publisher, public): (&Publisher, &[u8; 32]),
) -> Result<bool> {
    let inserted = sqlx::query!(
        "insert into publisher_keys (org_id, id, name, public_key, created_at, created_by)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (org_id, public_key) where revoked_at is null do nothing",
        org.0,
        publisher.id.0,
        publisher.name,
        &public[..],
        publisher.created_at,
        by.0,
    );
    Ok(inserted.execute(db).await?.rows_affected() > 0)
}

pub(super) async fn find_by_key(
    db: impl PgExecutor<'_>,
    org: OrgId,
    public: &[u8; 32],
) -> Result<Option<Publisher>> {
    let found = sqlx::query_as!(
        Row,
        r#"select id as "id: PublisherId", name, public_key, created_at, revoked_at from publisher_keys
           where org_id = $1 and public_key = $2 and revoked_at is null"#,
        org.0,
        &public[..],
    );
    Ok(found.fetch_optional(db).await?.map(Publisher::from))
}

pub(super) async fn list(
    db: &PgPool,
    org: OrgId,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Publisher>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: PublisherId", name, public_key, created_at, revoked_at from publisher_keys
           where org_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3::uuid))
           order by created_at desc, id desc limit $4"#,
        org.0,
        at,
        id,
        limit,
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(Publisher::from).collect())
}

/// The keys whose signatures are taken.
pub(super) async fn valid(
    db: impl PgExecutor<'_>,
    org: OrgId,
) -> Result<Vec<(PublisherId, Vec<u8>)>> {
    let rows = sqlx::query!(
        r#"select id as "id: PublisherId", public_key from publisher_keys
           where org_id = $1 and revoked_at is null"#,
        org.0,
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.public_key))
        .collect())
}

/// The key, and whether it was valid until now.
pub(super) async fn revoke(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: PublisherId,
    now: OffsetDateTime,
) -> Result<Option<(Publisher, bool)>> {
    let row = sqlx::query!(
        r#"with old as (select id, revoked_at from publisher_keys where org_id = $1 and id = $2 for update)
           update publisher_keys p set revoked_at = coalesce(p.revoked_at, $3) from old
           where p.org_id = $1 and p.id = old.id
           returning p.id as "id: PublisherId", p.name, p.public_key, p.created_at, p.revoked_at,
             (old.revoked_at is null) as "first!""#,
        org.0,
        id.0,
        now,
    );
    let row = row.fetch_optional(db).await?;
    Ok(row.map(|row| {
        let publisher = Row {
            id: row.id,
            name: row.name,
            public_key: row.public_key,
            created_at: row.created_at,
            revoked_at: row.revoked_at,
        };
        (publisher.into(), row.first)
    }))
}

pub(super) async fn policy(db: impl PgExecutor<'_>, org: OrgId) -> Result<bool> {
    let required = sqlx::query_scalar!(
        "select required from signature_policies where org_id = $1",
        org.0
    );
    Ok(required.fetch_optional(db).await?.unwrap_or(false))
}

pub(super) async fn put_policy(
    db: impl PgExecutor<'_>,
    (org, by): (OrgId, KeyId),
    required: bool,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into signature_policies (org_id, required, updated_at, updated_by) values ($1, $2, $3, $4)
         on conflict on constraint signature_policies_pkey
         do update set required = excluded.required, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        org.0,
        required,
        now,
        by.0,
    )
    .execute(db)
    .await?;
    Ok(())
}
