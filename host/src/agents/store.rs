//! The statements of agents, versions, components and channels.

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

use super::load::COMPONENT_MISSING;
use super::signed::{PublisherId, Signed};
use super::versions::NewVersion;
use super::{Agent, AgentId, Digest, Settings, Version};
use crate::guardrails::{self, Rules};
use crate::kit::http::Cursor;
use crate::kit::{Error, OrgId, Result};

struct VersionRow {
    number: i32,
    label: Option<String>,
    digest: Vec<u8>,
    manifest: serde_json::Value,
    imports: Vec<String>,
    signed_by: Option<PublisherId>,
    size_bytes: i64,
    compile_ms: i64,
    created_at: OffsetDateTime,
}

impl TryFrom<VersionRow> for Version {
    type Error = Error;

    fn try_from(row: VersionRow) -> Result<Self> {
        Ok(Self {
            number: row.number,
            label: row.label,
            digest: format!("sha256:{}", hex::encode(row.digest)),
            guardrails: declared(row.manifest.get("guardrails").cloned()).views(),
            manifest: serde_json::from_value(row.manifest)?,
            imports: row.imports,
            signed_by: row.signed_by,
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
        r#"select v.number, v.label, v.digest, v.manifest, v.imports, v.signed_by as "signed_by: PublisherId", v.size_bytes,
           v.compile_ms, v.created_at
         from agents a join agent_versions v on v.org_id = a.org_id and v.agent_id = a.id
         where a.org_id = $1 and a.name = $2 and v.digest = $3 and v.deleted_at is null"#,
        org.0,
        name,
        digest,
    )
    .fetch_optional(db)
    .await?
    .map(Version::try_from)
    .transpose()
}

/// Keeps the bytes; those that were collected are brought back. Its row is locked from here on, there or not.
pub(super) async fn insert_component(
    db: impl PgExecutor<'_>,
    digest: &Digest,
    bytes: &[u8],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into components (digest, bytes, created_at) values ($1, $2, $3)
         on conflict on constraint components_pkey do update set bytes = excluded.bytes, collected_at = null
           where components.collected_at is not null",
        digest,
        bytes,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn get_component(db: &PgPool, digest: &Digest) -> Result<Vec<u8>> {
    let bytes = sqlx::query_scalar!(
        "select bytes from components where digest = $1 and collected_at is null",
        digest
    );
    bytes.fetch_optional(db).await?.ok_or_else(|| {
        COMPONENT_MISSING.because(
            "Its bytes are not in the database: upload them again, or use another version.",
        )
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

/// Held until the transaction ends: what changes an agent's versions and channels takes turns.
pub(super) async fn lock_agent(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
) -> Result<()> {
    sqlx::query!(
        "select id from agents where org_id = $1 and id = $2 for no key update",
        org.0,
        agent.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(())
}

/// The deleted version of the same bytes, if there is one, under its old number.
pub(super) async fn restore_version(
    tx: &mut PgConnection,
    (org, agent): (OrgId, AgentId),
    digest: &Digest,
) -> Result<Option<Version>> {
    sqlx::query_as!(
        VersionRow,
        r#"update agent_versions set deleted_at = null
         where org_id = $1 and agent_id = $2 and digest = $3 and deleted_at is not null
         returning number, label, digest, manifest, imports, signed_by as "signed_by: PublisherId", size_bytes, compile_ms, created_at"#,
        org.0,
        agent.0,
        digest,
    )
    .fetch_optional(tx)
    .await?
    .map(Version::try_from)
    .transpose()
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
        r#"insert into agent_versions
           (org_id, agent_id, number, digest, manifest, imports, size_bytes, compile_ms, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         returning number, label, digest, manifest, imports, signed_by as "signed_by: PublisherId", size_bytes, compile_ms, created_at"#,
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

/// Says who signed it, and keeps what they signed with. `None` where somebody did before, or it is deleted.
pub(super) async fn sign_version(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    number: i32,
    signed: &Signed,
) -> Result<Option<Version>> {
    sqlx::query_as!(
        VersionRow,
        r#"update agent_versions set signed_by = $4, signature = $5
         where org_id = $1 and agent_id = $2 and number = $3 and signed_by is null and deleted_at is null
         returning number, label, digest, manifest, imports, signed_by as "signed_by: PublisherId", size_bytes, compile_ms, created_at"#,
        org.0,
        agent.0,
        number,
        signed.by.0,
        &signed.signature[..],
    )
    .fetch_optional(db)
    .await?
    .map(Version::try_from)
    .transpose()
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
        r#"select number, label, digest, manifest, imports, signed_by as "signed_by: PublisherId", size_bytes, compile_ms, created_at
         from agent_versions
         where org_id = $1 and agent_id = $2 and deleted_at is null and ($3::integer is null or number < $3)
         order by number desc limit $4"#,
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
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    number: i32,
) -> Result<Option<Version>> {
    sqlx::query_as!(
        VersionRow,
        r#"select number, label, digest, manifest, imports, signed_by as "signed_by: PublisherId", size_bytes, compile_ms, created_at
         from agent_versions
         where org_id = $1 and agent_id = $2 and number = $3 and deleted_at is null"#,
        org.0,
        agent.0,
        number,
    )
    .fetch_optional(db)
    .await?
    .map(Version::try_from)
    .transpose()
}

/// The settings of a stored manifest.
pub fn configured(stored: Option<serde_json::Value>) -> Settings {
    stored
        .and_then(|settings| serde_json::from_value(settings).ok())
        .unwrap_or_default()
}

/// What a stored manifest declares. What was let pass unknown guards nothing.
pub fn declared(stored: Option<serde_json::Value>) -> Rules {
    let strings: Vec<String> = stored
        .and_then(|strings| serde_json::from_value(strings).ok())
        .unwrap_or_default();
    guardrails::parse(&strings).0
}
