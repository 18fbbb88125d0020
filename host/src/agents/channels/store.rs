//! The statements of channels.

use std::sync::Arc;

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;

use super::choose::{Pointed, Resolved};
use super::judge::{Thresholds, Watch};
use super::moves::Moved;
use super::pointers::Pointers;
use super::show::ChannelMove;
use super::{Channel, MoveId};
use crate::agents::manifest::{GUARDRAIL, PROVIDER};
use crate::agents::{AgentId, configured, declared};
use crate::identity::KeyId;
use crate::kit::http::Cursor;
use crate::kit::{Error, OrgId, Result};

pub(super) use crate::agents::store::find_version;

struct ResolvedRow {
    agent: AgentId,
    name: String,
    version: i32,
    digest: Vec<u8>,
    model: Option<String>,
    guardrails: Option<serde_json::Value>,
    settings: Option<serde_json::Value>,
    kind: Option<String>,
    is_deleted: bool,
    weight: Option<f64>,
    is_canary: bool,
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
            is_guardrail: row.kind.as_deref() == Some(GUARDRAIL),
            is_provider: row.kind.as_deref() == Some(PROVIDER),
            guardrails: Arc::new(declared(row.guardrails)),
            settings: Arc::new(configured(row.settings)),
            is_deleted: row.is_deleted,
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
        r#"select a.id as "agent: AgentId", a.name, v.number as version, v.digest, v.manifest ->> 'model' as model,
             v.manifest -> 'guardrails' as guardrails, v.manifest -> 'settings' as settings, v.manifest ->> 'kind' as kind,
             (v.deleted_at is not null) as "is_deleted!", null::double precision as weight, false as "is_canary!"
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

/// What the channels point at, stable and canary together, so that no half of a move is seen.
pub(super) async fn resolve_channels(
    db: &PgPool,
    org: OrgId,
    agent: &str,
) -> Result<Option<Pointed>> {
    let rows = sqlx::query_as!(
        ResolvedRow,
        r#"select a.id as "agent: AgentId", a.name, v.number as version, v.digest, v.manifest ->> 'model' as model,
             v.manifest -> 'guardrails' as guardrails, v.manifest -> 'settings' as settings, v.manifest ->> 'kind' as kind,
             (v.deleted_at is not null) as "is_deleted!", c.weight, (v.number <> c.version) as "is_canary!"
           from agents a
           join agent_channels c on c.org_id = a.org_id and c.agent_id = a.id and c.name = 'stable'
           join agent_versions v on v.org_id = a.org_id and v.agent_id = a.id and v.number in (c.version, c.canary)
           where a.org_id = $1 and a.name = $2"#,
        org.0,
        agent,
    )
    .fetch_all(db)
    .await?;
    let (mut stable, mut canary) = (None, None);
    for row in rows {
        let (weight, is_canary) = (row.weight, row.is_canary);
        let mut resolved = Resolved::try_from(row)?;
        if is_canary {
            resolved.channel = Some(Channel::Canary.as_str());
            canary = weight.map(|weight| (resolved, weight));
        } else {
            resolved.channel = Some(Channel::Stable.as_str());
            stable = Some(resolved);
        }
    }
    Ok(stable.map(|stable| Pointed { stable, canary }))
}

struct Row {
    stable: i32,
    canary: Option<i32>,
    weight: Option<f64>,
    earlier: Vec<i32>,
    since: Option<OffsetDateTime>,
    min_runs: Option<i32>,
    failure_rate_above: Option<f64>,
    block_rate_above: Option<f64>,
    p95_times: Option<f64>,
    cost_times: Option<f64>,
}

impl From<Row> for Pointers {
    fn from(row: Row) -> Self {
        let watch = |(since, min_runs)| Watch {
            thresholds: Thresholds {
                min_runs,
                failure_rate_above: row.failure_rate_above,
                block_rate_above: row.block_rate_above,
                p95_times: row.p95_times,
                cost_times: row.cost_times,
            },
            since,
        };
        Self {
            stable: row.stable,
            canary: row.canary.zip(row.weight),
            earlier: row.earlier,
            watch: row.since.zip(row.min_runs).map(watch),
        }
    }
}

pub(super) async fn find(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
) -> Result<Option<Pointers>> {
    let row = sqlx::query_as!(
        Row,
        r#"select c.version as stable, c.canary, c.weight, c.earlier, j.since as "since?", j.min_runs as "min_runs?",
             j.failure_rate_above, j.block_rate_above, j.p95_times, j.cost_times
           from agent_channels c left join agent_canaries j
             on j.org_id = c.org_id and j.agent_id = c.agent_id and j.version = c.canary
           where c.org_id = $1 and c.agent_id = $2 and c.name = 'stable'"#,
        org.0,
        agent.0,
    );
    Ok(row.fetch_optional(db).await?.map(Pointers::from))
}

/// The pointers, with the agent's row locked: moves, deletions and uploads of an agent take turns.
pub(super) async fn lock(
    tx: &mut PgConnection,
    which: (OrgId, AgentId),
) -> Result<Option<Pointers>> {
    crate::agents::store::lock_agent(&mut *tx, which).await?;
    find(tx, which).await
}

/// Those of the versions that a rollback may come to that were not deleted.
pub(super) async fn living(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    of: Option<&Pointers>,
) -> Result<Vec<i32>> {
    let Some(of) = of else {
        return Ok(Vec::new());
    };
    let numbers: Vec<i32> = of.earlier.iter().copied().chain([of.stable]).collect();
    let living = sqlx::query_scalar!(
        "select number from agent_versions
         where org_id = $1 and agent_id = $2 and number = any($3) and deleted_at is null",
        org.0,
        agent.0,
        &numbers,
    );
    Ok(living.fetch_all(db).await?)
}

pub(super) async fn put(
    tx: &mut PgConnection,
    which: (OrgId, AgentId),
    to: &Pointers,
    now: OffsetDateTime,
) -> Result<()> {
    let (org, agent) = which;
    let (canary, weight) = to.canary.unzip();
    sqlx::query!(
        "insert into agent_channels (org_id, agent_id, name, version, canary, weight, earlier, moved_at)
         values ($1, $2, 'stable', $3, $4, $5, $6, $7)
         on conflict on constraint agent_channels_pkey
         do update set version = excluded.version, canary = excluded.canary, weight = excluded.weight,
           earlier = excluded.earlier, moved_at = excluded.moved_at",
        org.0,
        agent.0,
        to.stable,
        canary,
        weight,
        &to.earlier,
        now,
    )
    .execute(&mut *tx)
    .await?;
    match (canary, &to.watch) {
        (Some(canary), Some(watch)) => watch_canary(tx, which, (canary, watch), now).await,
        _ => watch_none(tx, which).await,
    }
}

async fn watch_canary(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    (canary, watch): (i32, &Watch),
    now: OffsetDateTime,
) -> Result<()> {
    let of = &watch.thresholds;
    sqlx::query!(
        "insert into agent_canaries (org_id, agent_id, version, since, min_runs, failure_rate_above, block_rate_above,
           p95_times, cost_times, judged_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict on constraint agent_canaries_pkey
         do update set version = excluded.version, since = excluded.since, min_runs = excluded.min_runs,
           failure_rate_above = excluded.failure_rate_above, block_rate_above = excluded.block_rate_above,
           p95_times = excluded.p95_times, cost_times = excluded.cost_times",
        org.0,
        agent.0,
        canary,
        watch.since,
        of.min_runs,
        of.failure_rate_above,
        of.block_rate_above,
        of.p95_times,
        of.cost_times,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn watch_none(db: impl PgExecutor<'_>, (org, agent): (OrgId, AgentId)) -> Result<()> {
    sqlx::query!(
        "delete from agent_canaries where org_id = $1 and agent_id = $2",
        org.0,
        agent.0,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn insert_move(
    db: impl PgExecutor<'_>,
    (org, agent): (OrgId, AgentId),
    moved: &Moved<'_>,
) -> Result<()> {
    sqlx::query!(
        "insert into agent_channel_moves (org_id, id, agent_id, action, channel, version, previous, weight, repinned,
           approved, moved_by, reason, moved_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        org.0,
        moved.id.0,
        agent.0,
        moved.action,
        moved.channel.as_str(),
        moved.version,
        moved.previous,
        moved.weight,
        moved.repinned,
        moved.approved,
        moved.by.map(|key| key.0),
        moved.reason,
        moved.at,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn list_moves(
    db: &PgPool,
    (org, agent): (OrgId, AgentId),
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<ChannelMove>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query_as!(
        ChannelMove,
        r#"select id as "id: MoveId", action, channel, version, previous, weight, repinned, approved,
             moved_by as "by: KeyId", reason, moved_at as at
           from agent_channel_moves
           where org_id = $1 and agent_id = $2
             and ($3::timestamptz is null or (moved_at, id) < ($3, $4::uuid))
           order by moved_at desc, id desc limit $5"#,
        org.0,
        agent.0,
        at,
        id,
        limit,
    );
    Ok(rows.fetch_all(db).await?)
}
