//! The statements of nodes: heartbeats, cancels told to the database only, and the runs of the dead.

use std::sync::Arc;

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::agents::{self, AgentId, Resolved};
use crate::conversations::ConversationId;
use crate::identity::KeyId;
use crate::kit::{Error, OrgId, Result};
use crate::runs::log::record::Key;
use crate::runs::store::NewRow;
use crate::runs::{NodeId, RunId};

/// Runs of this node somebody wants stopped.
pub(super) async fn cancels_of(db: &PgPool, node: NodeId) -> Result<Vec<(RunId, OffsetDateTime)>> {
    let rows = sqlx::query!(
        r#"select id as "id: RunId", cancel_requested_at as "at!" from runs
           where node_id = $1 and ended_at is null and cancel_requested_at is not null"#,
        node.0,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.at)).collect())
}

pub(super) async fn leave(db: &PgPool, node: NodeId) -> Result<()> {
    sqlx::query!(
        "update nodes set stopped_at = clock_timestamp() where id = $1",
        node.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Runs this node owns that have not ended.
pub(super) async fn open_of(db: &PgPool, node: NodeId) -> Result<Vec<RunId>> {
    let runs = sqlx::query_scalar!(
        r#"select id as "id: RunId" from runs where node_id = $1 and ended_at is null"#,
        node.0,
    )
    .fetch_all(db)
    .await?;
    Ok(runs)
}

/// A run this node has taken, under a term of its own.
#[derive(Debug)]
pub(in crate::runs) struct Claimed {
    pub(in crate::runs) row: NewRow,
    pub(in crate::runs) resolved: Resolved,
    pub(in crate::runs) term: i32,
    /// Hosts that died with it.
    pub(in crate::runs) deaths: i32,
    pub(in crate::runs) cancel_requested_at: Option<OffsetDateTime>,
    pub(in crate::runs) was_suspended: bool,
    pub(in crate::runs) suspended_usage: Option<String>,
}

impl Claimed {
    pub(in crate::runs) fn key(&self) -> Key {
        Key {
            org: self.row.org,
            run: self.row.run,
            term: self.term,
        }
    }
}

struct ClaimedRow {
    org: OrgId,
    run: RunId,
    agent: AgentId,
    version: i32,
    channel: Option<String>,
    input: String,
    seed: Vec<u8>,
    deadline_at: OffsetDateTime,
    fuel_max: i64,
    limits_digest: Option<Vec<u8>>,
    conversation: Option<ConversationId>,
    created_by: Option<Uuid>,
    created_at: OffsetDateTime,
    traceparent: Option<String>,
    term: i32,
    deaths: i32,
    cancel_requested_at: Option<OffsetDateTime>,
    was: String,
    suspended_usage: Option<String>,
    digest: Vec<u8>,
    model: Option<String>,
    guardrails: Option<serde_json::Value>,
    settings: Option<serde_json::Value>,
    name: String,
}

impl ClaimedRow {
    fn into_claimed(self, node: NodeId) -> Result<Claimed> {
        let bytes = |bytes: Vec<u8>| <[u8; 32]>::try_from(bytes);
        let broken = |_| Error::internal("a run's seed or digest is not 32 bytes");
        Ok(Claimed {
            resolved: Resolved {
                agent: self.agent,
                name: self.name,
                version: self.version,
                digest: bytes(self.digest).map_err(broken)?,
                channel: None,
                model: self.model.unwrap_or_else(|| "default".to_owned()),
                is_guardrail: false,
                is_provider: false,
                guardrails: Arc::new(agents::declared(self.guardrails)),
                settings: Arc::new(agents::configured(self.settings)),
                is_deleted: false,
            },
            row: NewRow {
                org: self.org,
                run: self.run,
                agent: self.agent,
                version: self.version,
                channel: self.channel,
                state: "running",
                input: self.input,
                metadata: None,
                seed: bytes(self.seed).map_err(broken)?,
                deadline_at: self.deadline_at,
                fuel_max: self.fuel_max,
                limits: self.limits_digest.map(bytes).transpose().map_err(broken)?,
                conversation: self.conversation,
                node,
                created_by: KeyId(self.created_by.unwrap_or_default()),
                created_at: self.created_at,
                traceparent: self.traceparent,
            },
            term: self.term,
            deaths: self.deaths,
            cancel_requested_at: self.cancel_requested_at,
            was_suspended: self.was == "suspended",
            suspended_usage: self.suspended_usage,
        })
    }
}

/// Takes over runs of dead nodes and runs that were let go of: the term grows, so that a node that was only slow
/// writes nothing more. Rows that another node is taking are skipped; organizations take turns. `lost` are runs of
/// this node that it does not run.
pub(super) async fn claim(
    db: &PgPool,
    (node, lost): (NodeId, &[RunId]),
    dead_after_ms: i64,
    limit: i64,
) -> Result<Vec<Claimed>> {
    let lost: Vec<_> = lost.iter().map(|run| run.0).collect();
    let rows = sqlx::query_as!(
        ClaimedRow,
        r#"with open as (
             select r.org_id, r.id, r.term, (n.id is not null) as died,
               row_number() over (partition by r.org_id order by r.id) as turn
             from runs r left join nodes n on n.id = r.node_id
             where r.ended_at is null and r.state <> 'suspended'
               and ((r.node_id = $1 and r.id = any($4))
                 or (r.node_id <> $1 and (n.id is null or n.stopped_at is not null
                   or n.heartbeat_at < clock_timestamp() - make_interval(secs => $2::bigint / 1000.0))))),
           chosen as (
             select r.org_id, r.id, r.state, o.died
             from open o join runs r on r.org_id = o.org_id and r.id = o.id and r.term = o.term
             where r.ended_at is null
             order by o.turn, r.id limit $3 for no key update of r skip locked)
           update runs r set node_id = $1, term = r.term + 1,
             deaths = r.deaths + case when c.died then 1 else 0 end
           from chosen c, agent_versions v
           where r.org_id = c.org_id and r.id = c.id
             and v.org_id = r.org_id and v.agent_id = r.agent_id and v.number = r.version
           returning r.org_id as "org: OrgId", r.id as "run: RunId", r.agent_id as "agent: AgentId", r.version, r.channel,
             r.input::text as "input!", r.seed, r.deadline_at, r.fuel_max, r.limits_digest,
             r.conversation_id as "conversation: ConversationId", r.created_by, r.created_at, r.traceparent, r.term, r.deaths,
             r.cancel_requested_at, c.state as was, r.suspended_usage::text as suspended_usage, v.digest,
             v.manifest ->> 'model' as model, v.manifest -> 'guardrails' as guardrails, v.manifest -> 'settings' as settings,
             (select a.name from agents a where a.org_id = r.org_id and a.id = r.agent_id) as "name!""#,
        node.0,
        dead_after_ms,
        limit,
        &lost,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|row| row.into_claimed(node)).collect()
}

/// Takes suspended runs whose time has come.
pub(super) async fn claim_due(
    db: &PgPool,
    node: NodeId,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Claimed>> {
    let rows = sqlx::query_as!(
        ClaimedRow,
        r#"with due as (
             select r.org_id, r.id, r.term, row_number() over (partition by r.org_id order by r.wake_at) as turn
             from runs r
             where r.state = 'suspended'
               and (r.wake_at <= $2 or r.deadline_at <= $2 or r.cancel_requested_at is not null)),
           chosen as (
             select r.org_id, r.id, r.state
             from due d join runs r on r.org_id = d.org_id and r.id = d.id and r.term = d.term
             where r.state = 'suspended'
             order by d.turn, r.id limit $3 for no key update of r skip locked)
           update runs r set node_id = $1, term = r.term + 1, state = 'running', wake_at = null
           from chosen c, agent_versions v
           where r.org_id = c.org_id and r.id = c.id
             and v.org_id = r.org_id and v.agent_id = r.agent_id and v.number = r.version
           returning r.org_id as "org: OrgId", r.id as "run: RunId", r.agent_id as "agent: AgentId", r.version, r.channel,
             r.input::text as "input!", r.seed, r.deadline_at, r.fuel_max, r.limits_digest,
             r.conversation_id as "conversation: ConversationId", r.created_by, r.created_at, r.traceparent, r.term, r.deaths,
             r.cancel_requested_at, c.state as was, r.suspended_usage::text as suspended_usage, v.digest,
             v.manifest ->> 'model' as model, v.manifest -> 'guardrails' as guardrails, v.manifest -> 'settings' as settings,
             (select a.name from agents a where a.org_id = r.org_id and a.id = r.agent_id) as "name!""#,
        node.0,
        now,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter().map(|row| row.into_claimed(node)).collect()
}
