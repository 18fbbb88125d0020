//! The statements of limits: what was given, and the sets that runs were started with.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Digest;
use crate::identity::KeyId;
use crate::kit::{OrgId, Result};

/// What the organization and the version were given, where they were.
pub(super) async fn find(
    db: &PgPool,
    org: OrgId,
    (agent, version): (Option<Uuid>, Option<i32>),
) -> Result<(Option<Value>, Option<Value>)> {
    let row = sqlx::query!(
        "select
           (select limits from org_limits where org_id = $1) as org,
           (select limits from version_limits where org_id = $1 and agent_id = $2 and version = $3) as version",
        org.0,
        agent,
        version,
    )
    .fetch_one(db)
    .await?;
    Ok((row.org, row.version))
}

/// The agent a version is of, where there is such a version.
pub(super) async fn find_agent(
    db: &PgPool,
    org: OrgId,
    (agent, version): (&str, i32),
) -> Result<Option<Uuid>> {
    let agent = sqlx::query_scalar!(
        "select a.id from agents a join agent_versions v on v.org_id = a.org_id and v.agent_id = a.id
         where a.org_id = $1 and a.name = $2 and v.number = $3",
        org.0,
        agent,
        version,
    )
    .fetch_optional(db)
    .await?;
    Ok(agent)
}

pub(super) async fn put_of_org(
    tx: &mut PgConnection,
    org: OrgId,
    limits: &Value,
    (by, now): (KeyId, OffsetDateTime),
) -> Result<()> {
    sqlx::query!(
        "insert into org_limits (org_id, limits, updated_at, updated_by) values ($1, $2, $3, $4)
         on conflict on constraint org_limits_pkey do update
         set limits = excluded.limits, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        org.0,
        limits,
        now,
        by.0,
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn put_of_version(
    tx: &mut PgConnection,
    (org, agent, version): (OrgId, Uuid, i32),
    limits: &Value,
    (by, now): (KeyId, OffsetDateTime),
) -> Result<()> {
    sqlx::query!(
        "insert into version_limits (org_id, agent_id, version, limits, updated_at, updated_by)
         values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint version_limits_pkey do update
         set limits = excluded.limits, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
        org.0,
        agent,
        version,
        limits,
        now,
        by.0,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps a set, where it is not kept yet.
pub(super) async fn intern(
    db: &PgPool,
    digest: &Digest,
    (limits, now): (&str, OffsetDateTime),
) -> Result<()> {
    sqlx::query!(
        "insert into limit_sets (digest, limits, created_at) values ($1, $2::text::json, $3)
         on conflict on constraint limit_sets_pkey do nothing",
        digest,
        limits,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn get_set(db: &PgPool, digest: &Digest) -> Result<String> {
    let text = sqlx::query_scalar!(
        r#"select limits::text as "limits!" from limit_sets where digest = $1"#,
        digest,
    )
    .fetch_one(db)
    .await?;
    Ok(text)
}
