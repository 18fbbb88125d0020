//! The statements of organizations and API keys.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

use super::organizations::ORG_EXISTS;
use super::{Key, KeyId, Scope};
use crate::kit::error::OnConstraint as _;
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};

/// What proves a token, and whose it is.
pub(super) struct KeyRow {
    pub(super) org_id: OrgId,
    pub(super) slug: String,
    pub(super) secret_sha256: Vec<u8>,
    pub(super) scopes: Vec<String>,
    pub(super) expires_at: Option<OffsetDateTime>,
    pub(super) revoked_at: Option<OffsetDateTime>,
}

pub(super) async fn insert_organization(
    tx: &mut PgConnection,
    org: OrgId,
    slug: &str,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into organizations (id, slug, created_at) values ($1, $2, $3)",
        org.0,
        slug,
        now
    )
    .execute(tx)
    .await
    .on_constraint("organizations_slug_key", || {
        ORG_EXISTS.because(format!("The organization `{slug}` exists already."))
    })?;
    Ok(())
}

pub(super) async fn find_organization(db: &PgPool, slug: &str) -> Result<Option<OrgId>> {
    let id = sqlx::query_scalar!("select id from organizations where slug = $1", slug)
        .fetch_optional(db)
        .await?;
    Ok(id.map(OrgId))
}

/// Held until the transaction ends: changes that look at all keys of an organization take turns.
pub(super) async fn lock_organization(db: impl PgExecutor<'_>, org: OrgId) -> Result<()> {
    sqlx::query!(
        "select id from organizations where id = $1 for no key update",
        org.0
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

pub(super) async fn insert_key(
    tx: &mut PgConnection,
    org: OrgId,
    key: &Key,
    digest: &[u8],
) -> Result<()> {
    let scopes: Vec<String> = key
        .scopes
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect();
    sqlx::query!(
        "insert into api_keys (org_id, id, name, secret_sha256, scopes, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        org.0,
        key.id.0,
        key.name,
        digest,
        &scopes,
        key.created_at,
        key.expires_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The one look-up that no organization bounds: it is what finds the organization.
pub(super) async fn find_key(db: &PgPool, id: KeyId) -> Result<Option<KeyRow>> {
    let row = sqlx::query_as!(
        KeyRow,
        r#"select k.org_id as "org_id: OrgId", o.slug, k.secret_sha256, k.scopes, k.expires_at, k.revoked_at
           from api_keys k join organizations o on o.id = k.org_id where k.id = $1"#,
        id.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(row)
}

struct ListedKey {
    id: KeyId,
    name: String,
    scopes: Vec<String>,
    created_at: OffsetDateTime,
    expires_at: Option<OffsetDateTime>,
    revoked_at: Option<OffsetDateTime>,
}

impl From<ListedKey> for Key {
    fn from(row: ListedKey) -> Self {
        Self {
            id: row.id,
            name: row.name,
            scopes: row
                .scopes
                .iter()
                .filter_map(|scope| Scope::parse(scope))
                .collect(),
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }
}

pub(super) async fn list_keys(
    db: &PgPool,
    org: OrgId,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Key>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query_as!(
        ListedKey,
        r#"select id as "id: KeyId", name, scopes, created_at, expires_at, revoked_at from api_keys
           where org_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3::uuid))
           order by created_at desc, id desc limit $4"#,
        org.0,
        at,
        id,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Key::from).collect())
}

/// The key, and whether it was not revoked before.
pub(super) async fn revoke_key(
    db: impl PgExecutor<'_>,
    org: OrgId,
    id: KeyId,
    now: OffsetDateTime,
) -> Result<Option<(Key, bool)>> {
    let row = sqlx::query!(
        r#"update api_keys k set revoked_at = coalesce(k.revoked_at, $3)
           from api_keys old where k.org_id = $1 and k.id = $2 and old.org_id = k.org_id and old.id = k.id
           returning k.name, k.scopes, k.created_at, k.expires_at, k.revoked_at,
             (old.revoked_at is null) as "first!""#,
        org.0,
        id.0,
        now,
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| {
        let key = ListedKey {
            id,
            name: row.name,
            scopes: row.scopes,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        };
        (key.into(), row.first)
    }))
}

pub(super) async fn count_admin_keys(
    db: impl PgExecutor<'_>,
    org: OrgId,
    now: OffsetDateTime,
) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from api_keys where org_id = $1 and revoked_at is null
           and 'admin' = any(scopes) and (expires_at is null or expires_at > $2)"#,
        org.0,
        now,
    )
    .fetch_one(db)
    .await?;
    Ok(count)
}
