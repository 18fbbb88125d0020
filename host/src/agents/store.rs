//! The statements of agents, versions, components and channels.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

use super::channels::Resolved;
use super::load::COMPONENT_MISSING;
use super::versions::NewVersion;
use super::{Agent, AgentId, Digest, Version};
use crate::kit::error::OnConstraint as _;
use crate::kit::http::Cursor;
use crate::kit::{Error, OrgId, Result};

struct VersionRow {
    number: i32,
    digest: Vec<u8>,
    manifest: serde_json::Value,
    imports: Vec<String>,
    size_bytes: i64,
    compile_ms: i64,
    created_at: OffsetDateTime,
}

impl TryFrom<VersionRow> for Version {
    type Error = Error;

    fn try_from(row: VersionRow) -> Result<Self> {
        Ok(Self {
            number: row.number,
            digest: format!("sha256:{}", hex::encode(row.digest)),
            manifest: serde_json::from_value(row.manifest)?,
            imports: row.imports,
            size_bytes: row.size_bytes,
            compile_ms: row.compile_ms,
            created_at: row.created_at,
        })
    }
}

pub(super) async fn find_by_digest(
    db: impl PgExecutor<'_>,
    org: OrgId,
    name: &str,
    digest: &Digest,
) -> Result<Option<Version>> {
    sqlx::query_as!(
        VersionRow,
        "select v.number, v.digest, v.manifest, v.imports, v.size_bytes, v.compile_ms, v.created_at
         from agents a join agent_versions v on v.org_id = a.org_id and v.agent_id = a.id
         where a.org_id = $1 and a.name = $2 and v.digest = $3",
        org.0,
        name,
        digest,
    )
    .fetch_optional(db)
    .await?
    .map(Version::try_from)
    .transpose()
}

pub(super) async fn insert_component(
    db: impl PgExecutor<'_>,
    digest: &Digest,
    bytes: &[u8],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into components (digest, bytes, created_at) values ($1, $2, $3) on conflict do nothing",
        digest,
        bytes,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn get_component(db: &PgPool, digest: &Digest) -> Result<Vec<u8>> {
    sqlx::query_scalar!("select bytes from components where digest = $1", digest)
        .fetch_optional(db)
        .await?
        .ok_or_else(|| {
            COMPONENT_MISSING
                .because("Its bytes are not in the database: restore them, or use another version.")
        })
}

/// The agent's id, its row locked: made where there is none.
pub(super) async fn upsert_agent(
    tx: &mut PgConnection,
    org: OrgId,
    (id, name): (AgentId, &str),
    now: OffsetDateTime,
) -> Result<AgentId> {
    let id = sqlx::query_scalar!(
        r#"insert into agents (org_id, id, name, created_at) values ($1, $2, $3, $4)
           on conflict on constraint agents_name_key do update set name = excluded.name
           returning id as "id: AgentId""#,
        org.0,
        id.0,
        name,
        now,
    )
    .fetch_one(tx)
    .await?;
    Ok(id)
}

pub(super) async fn insert_version(
    tx: &mut PgConnection,
    (org, agent): (OrgId, AgentId),
    new: NewVersion,
    (size_bytes, now): (i64, OffsetDateTime),
) -> Result<Version> {
    let number = sqlx::query_scalar!(
        "update agents set next_version = next_version + 1 where org_id = $1 and id = $2
         returning next_version - 1 as \"number!\"",
        org.0,
        agent.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query_as!(
        VersionRow,
        "insert into agent_versions
           (org_id, agent_id, number, digest, manifest, imports, size_bytes, compile_ms, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         returning number, digest, manifest, imports, size_bytes, compile_ms, created_at",
        org.0,
        agent.0,
        number,
        &new.digest,
        serde_json::to_value(&new.manifest)?,
        &new.imports,
        size_bytes,
        new.compile_ms,
        now,
    )
    .fetch_one(tx)
    .await?
    .try_into()
}

pub(super) async fn find_agent(db: &PgPool, org: OrgId, name: &str) -> Result<Option<Agent>> {
    let agent = sqlx::query_as!(
        Agent,
        r#"select a.id as "id: AgentId", a.name, c.version as "stable?", a.created_at
           from agents a left join agent_channels c
             on c.org_id = a.org_id and c.agent_id = a.id and c.name = 'stable'
           where a.org_id = $1 and a.name = $2"#,
        org.0,
        name,
    )
    .fetch_optional(db)
    .await?;
    Ok(agent)
}

pub(super) async fn list_agents(
    db: &PgPool,
    org: OrgId,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Agent>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let agents = sqlx::query_as!(
        Agent,
        r#"select a.id as "id: AgentId", a.name, c.version as "stable?", a.created_at
           from agents a left join agent_channels c
             on c.org_id = a.org_id and c.agent_id = a.id and c.name = 'stable'
           where a.org_id = $1 and ($2::timestamptz is null or (a.created_at, a.id) < ($2, $3::uuid))
           order by a.created_at desc, a.id desc limit $4"#,
        org.0,
        at,
        id,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(agents)
}

pub(super) async fn list_versions(
    db: &PgPool,
    (org, agent): (OrgId, AgentId),
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Version>> {
    sqlx::query_as!(
        VersionRow,
        "select number, digest, manifest, imports, size_bytes, compile_ms, created_at from agent_versions
         where org_id = $1 and agent_id = $2 and ($3::integer is null or number < $3)
         order by number desc limit $4",
        org.0,
        agent.0,
        before,
        limit,
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(Version::try_from)
    .collect()
}

pub(super) async fn find_version(
    db: &PgPool,
    (org, agent): (OrgId, AgentId),
    number: i32,
) -> Result<Option<Version>> {
    sqlx::query_as!(
        VersionRow,
        "select number, digest, manifest, imports, size_bytes, compile_ms, created_at from agent_versions
         where org_id = $1 and agent_id = $2 and number = $3",
        org.0,
        agent.0,
        number,
    )
    .fetch_optional(db)
    .await?
    .map(Version::try_from)
    .transpose()
}

struct ResolvedRow {
    agent: AgentId,
    name: String,
    version: i32,
    digest: Vec<u8>,
    model: Option<String>,
}

impl TryFrom<ResolvedRow> for Resolved {
    type Error = Error;

    fn try_from(row: ResolvedRow) -> Result<Self> {
        Ok(Self {
            agent: row.agent,
            name: row.name,
            version: row.version,
            digest: row
                .digest
                .try_into()
                .map_err(|_| Error::internal("a digest is not 32 bytes"))?,
            channel: None,
            model: row.model.unwrap_or_else(|| "default".to_owned()),
        })
    }
}

pub(super) async fn resolve_version(
    db: &PgPool,
    org: OrgId,
    agent: &str,
    number: i32,
) -> Result<Option<Resolved>> {
    sqlx::query_as!(
        ResolvedRow,
        r#"select a.id as "agent: AgentId", a.name, v.number as version, v.digest, v.manifest ->> 'model' as model
           from agents a join agent_versions v on v.org_id = a.org_id and v.agent_id = a.id
           where a.org_id = $1 and a.name = $2 and v.number = $3"#,
        org.0,
        agent,
        number,
    )
    .fetch_optional(db)
    .await?
    .map(Resolved::try_from)
    .transpose()
}

pub(super) async fn resolve_channel(
    db: &PgPool,
    org: OrgId,
    agent: &str,
    channel: &str,
) -> Result<Option<Resolved>> {
    sqlx::query_as!(
        ResolvedRow,
        r#"select a.id as "agent: AgentId", a.name, v.number as version, v.digest, v.manifest ->> 'model' as model
           from agents a
           join agent_channels c on c.org_id = a.org_id and c.agent_id = a.id and c.name = $3
           join agent_versions v on v.org_id = a.org_id and v.agent_id = a.id and v.number = c.version
           where a.org_id = $1 and a.name = $2"#,
        org.0,
        agent,
        channel,
    )
    .fetch_optional(db)
    .await?
    .map(Resolved::try_from)
    .transpose()
}

pub(super) async fn move_channel(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    (channel, version): (&str, i32),
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into agent_channels (org_id, agent_id, name, version, moved_at) values ($1, $2, $3, $4, $5)
         on conflict on constraint agent_channels_pkey
         do update set version = excluded.version, moved_at = excluded.moved_at",
        org.0,
        agent.0,
        channel,
        version,
        now,
    )
    .execute(db)
    .await
    .on_constraint("agent_channels_version_fkey", || Error::not_found("version"))?;
    Ok(())
}
