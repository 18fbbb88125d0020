//! The statements of runs outside the group commit: reading, cancelling, leases and recovery.

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;

use super::log::record::Key;
use super::view::{RunView, StepTokens, StepView, Turn};
use super::{NodeId, RunId, Usage};
use crate::agents::AgentId;
use crate::billing::{Money, UsageRecord};
use crate::conversations::ConversationId;
use crate::identity::KeyId;
use crate::kit::http::Cursor;
use crate::kit::{Error, OrgId, Result};
use crate::limits;
use crate::models::guest::{KIND as GENERATE, recorded_tokens};

/// A run to insert.
#[derive(Clone, Debug)]
pub struct NewRow {
    pub org: OrgId,
    pub run: RunId,
    pub agent: AgentId,
    pub version: i32,
    pub channel: Option<String>,
    pub state: &'static str,
    pub input: String,
    pub metadata: Option<String>,
    pub seed: [u8; 32],
    pub deadline_at: OffsetDateTime,
    pub fuel_max: i64,
    /// The set of limits it was started with; none where it is older than those.
    pub limits: Option<limits::Digest>,
    pub conversation: Option<ConversationId>,
    pub node: NodeId,
    pub created_by: KeyId,
    pub created_at: OffsetDateTime,
    /// What its lives are children of; none where it began without traces.
    pub traceparent: Option<String>,
}

impl NewRow {
    /// A run begins at term 1.
    pub fn key(&self) -> Key {
        Key {
            org: self.org,
            run: self.run,
            term: 1,
        }
    }
}

pub(super) fn usage_record(row: &NewRow, usage: Usage, at: OffsetDateTime) -> UsageRecord {
    UsageRecord {
        org_id: row.org,
        run_id: row.run.0,
        agent_id: row.agent.0,
        version: row.version,
        started_at: row.created_at,
        at,
        state: "",
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cached_tokens: 0,
        reasoning_tokens: 0,
        estimated: usage.estimated,
        fuel: usage.fuel,
        wall_ms: usage.wall_ms,
        memory_peak_bytes: usage.memory_peak_bytes,
        host_calls: usage.host_calls,
        tool_calls: 0,
        egress_bytes: 0,
        knowledge_queries: 0,
        cost_picos: 0,
        unpriced: true,
    }
}

struct RunRow {
    id: RunId,
    agent: String,
    version: i32,
    channel: Option<String>,
    state: String,
    stop_reason: Option<String>,
    created_at: OffsetDateTime,
    deadline_at: OffsetDateTime,
    fuel_max: i64,
    cancel_requested_at: Option<OffsetDateTime>,
    ended_at: Option<OffsetDateTime>,
    output: Option<String>,
    fault: Option<String>,
    blocked: Option<String>,
    receipt: Option<String>,
    guest_log: Option<String>,
    metadata: Option<String>,
    limits_digest: Option<Vec<u8>>,
    conversation: Option<ConversationId>,
    input_tokens: Option<i64>,
    output_tokens: Option<i64>,
    estimated: Option<bool>,
    fuel: Option<i64>,
    wall_ms: Option<i64>,
    memory_peak_bytes: Option<i64>,
    host_calls: Option<i64>,
    cost_picos: Option<i64>,
    unpriced: Option<bool>,
}

impl TryFrom<RunRow> for RunView {
    type Error = Error;

    fn try_from(row: RunRow) -> Result<Self> {
        let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
        let usage = row.fuel.map(|fuel| Usage {
            input_tokens: row.input_tokens.unwrap_or(0),
            output_tokens: row.output_tokens.unwrap_or(0),
            estimated: row.estimated.unwrap_or(false),
            fuel,
            wall_ms: row.wall_ms.unwrap_or(0),
            memory_peak_bytes: row.memory_peak_bytes.unwrap_or(0),
            host_calls: row.host_calls.unwrap_or(0),
        });
        Ok(Self {
            id: row.id,
            agent: row.agent,
            version: row.version,
            channel: row.channel,
            conversation: row.conversation,
            state: row.state,
            stop_reason: row.stop_reason,
            created_at: row.created_at,
            deadline_at: row.deadline_at,
            fuel_max: row.fuel_max,
            cancel_requested_at: row.cancel_requested_at,
            ended_at: row.ended_at,
            output: row.output,
            fault: json(row.fault)?,
            blocked: json(row.blocked)?,
            usage,
            receipt: json(row.receipt)?,
            guest_log: json(row.guest_log)?,
            metadata: json(row.metadata)?,
            limits: None,
            cost: None,
            billed: row.cost_picos.map(|picos| {
                let priced = row.unpriced == Some(false);
                priced.then(|| Money(picos.into()))
            }),
            limits_digest: row.limits_digest.and_then(|digest| digest.try_into().ok()),
        })
    }
}

/// What a list of runs is narrowed to.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) run: Option<RunId>,
    pub(super) state: Option<String>,
    pub(super) stop_reason: Option<String>,
    pub(super) version: Option<i32>,
    pub(super) from: Option<OffsetDateTime>,
    pub(super) to: Option<OffsetDateTime>,
}

pub(super) async fn list(
    db: &PgPool,
    (org, agent): (OrgId, &str),
    filter: &Filter,
    (after, limit): (Option<Cursor>, i64),
) -> Result<Vec<RunView>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    sqlx::query_as!(
        RunRow,
        r#"select r.id as "id: RunId", a.name as agent, r.version, r.channel, r.state, r.stop_reason, r.created_at,
             r.deadline_at, r.fuel_max, r.cancel_requested_at, r.ended_at, r.output, r.fault::text as fault,
             r.blocked::text as blocked, r.receipt::text as receipt, r.guest_log::text as guest_log, r.metadata::text as metadata,
             r.limits_digest, r.conversation_id as "conversation: ConversationId", u.input_tokens as "input_tokens?", u.output_tokens as "output_tokens?", u.estimated as "estimated?",
             u.fuel as "fuel?", u.wall_ms as "wall_ms?", u.memory_peak_bytes as "memory_peak_bytes?",
             u.host_calls as "host_calls?", u.cost_picos as "cost_picos?", u.unpriced as "unpriced?"
           from agents a
           join runs r on r.org_id = a.org_id and r.agent_id = a.id
           left join usage_records u on u.org_id = r.org_id and u.run_id = r.id
           where a.org_id = $1 and a.name = $2
             and ($3::uuid is null or r.id = $3)
             and ($4::text is null or r.state = $4)
             and ($5::text is null or r.stop_reason = $5)
             and ($6::integer is null or r.version = $6)
             and ($7::timestamptz is null or r.created_at >= $7)
             and ($8::timestamptz is null or r.created_at < $8)
             and ($9::timestamptz is null or (r.created_at, r.id) < ($9, $10::uuid))
           order by r.created_at desc, r.id desc limit $11"#,
        org.0,
        agent,
        filter.run.map(|run| run.0),
        filter.state,
        filter.stop_reason,
        filter.version,
        filter.from,
        filter.to,
        at,
        id,
        limit,
    )
    .fetch_all(db)
    .await?
    .into_iter()
    .map(RunView::try_from)
    .collect()
}

/// Those of an organization's newest runs that have ended, newest first.
pub(super) async fn turns(db: &PgPool, org: OrgId, newest: i64) -> Result<Vec<Turn>> {
    let rows = sqlx::query!(
        r#"select r.id as "run: RunId", a.name as agent, r.version, r.state, r.stop_reason, u.input_tokens as "input_tokens?",
             u.output_tokens as "output_tokens?", u.estimated as "estimated?", u.fuel as "fuel?", u.wall_ms as "wall_ms?",
             u.memory_peak_bytes as "memory_peak_bytes?", u.host_calls as "host_calls?"
           from runs r
           join agents a on a.org_id = r.org_id and a.id = r.agent_id
           left join usage_records u on u.org_id = r.org_id and u.run_id = r.id
           where r.org_id = $1 and r.ended_at is not null
           order by r.id desc limit $2"#,
        org.0,
        newest,
    )
    .fetch_all(db)
    .await?;
    let rows = rows.into_iter();
    let turns = rows.map(|row| {
        let usage = row.fuel.map(|fuel| Usage {
            input_tokens: row.input_tokens.unwrap_or(0),
            output_tokens: row.output_tokens.unwrap_or(0),
            estimated: row.estimated.unwrap_or(false),
            fuel,
            wall_ms: row.wall_ms.unwrap_or(0),
            memory_peak_bytes: row.memory_peak_bytes.unwrap_or(0),
            host_calls: row.host_calls.unwrap_or(0),
        });
        Turn {
            run: row.run,
            agent: row.agent,
            version: row.version,
            state: row.state,
            stop_reason: row.stop_reason.unwrap_or_default(),
            usage,
        }
    });
    Ok(turns.collect())
}

/// Whether the agent has the run.
pub(super) async fn exists(db: &PgPool, (org, agent, run): (OrgId, &str, RunId)) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists(
             select 1 from runs r join agents a on a.org_id = r.org_id and a.id = r.agent_id
             where r.org_id = $1 and a.name = $2 and r.id = $3) as "found!""#,
        org.0,
        agent,
        run.0,
    )
    .fetch_one(db)
    .await?;
    Ok(found)
}

struct StepRow {
    seq: i32,
    kind: String,
    status: String,
    request: String,
    response: Option<String>,
    started_at: OffsetDateTime,
    ended_at: Option<OffsetDateTime>,
    fuel_before: i64,
}

pub(super) async fn steps_after(
    db: &PgPool,
    (org, run): (OrgId, RunId),
    (after, limit): (i32, i64),
) -> Result<Vec<StepView>> {
    let rows = sqlx::query_as!(
        StepRow,
        r#"select seq, kind, status, request::text as "request!", response::text as response, started_at, ended_at,
             fuel_before
           from run_steps where org_id = $1 and run_id = $2 and seq > $3 order by seq limit $4"#,
        org.0,
        run.0,
        after,
        limit,
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StepView {
                seq: row.seq,
                tokens: tokens_of(&row),
                kind: row.kind,
                status: row.status,
                request: serde_json::from_str(&row.request)?,
                response: row
                    .response
                    .map(|text| serde_json::from_str(&text))
                    .transpose()?,
                started_at: row.started_at,
                ended_at: row.ended_at,
                fuel_before: row.fuel_before,
            })
        })
        .collect()
}

fn tokens_of(row: &StepRow) -> Option<StepTokens> {
    let response = row.response.as_ref().filter(|_| row.kind == GENERATE)?;
    let tokens = recorded_tokens(response);
    Some(StepTokens {
        input: tokens.input,
        output: tokens.output,
        estimated: tokens.estimated,
    })
}

/// A cancel request as it stands.
pub(super) struct Asked {
    /// Nobody had asked before.
    pub(super) first: bool,
    /// The run had not ended.
    pub(super) open: bool,
    /// No node has it: it is suspended, or was let go of.
    pub(super) nobodys: bool,
    pub(super) requested_at: OffsetDateTime,
}

/// Whether the run has ended, wherever it ran.
pub(super) async fn has_ended(db: &PgPool, (org, run): (OrgId, RunId)) -> Result<bool> {
    let ended = sqlx::query_scalar!(
        r#"select (ended_at is not null) as "ended!" from runs where org_id = $1 and id = $2"#,
        org.0,
        run.0,
    )
    .fetch_optional(db)
    .await?;
    Ok(ended.unwrap_or(true))
}

/// States that the run is to be cancelled; the first request stands, an ended run is left as it is. In the same
/// transaction its node is told, where that is not `node`.
pub(super) async fn request_cancel(
    tx: &mut PgConnection,
    (org, agent, run): (OrgId, &str, RunId),
    (by, now): (KeyId, OffsetDateTime),
    (node, tells): (NodeId, bool),
) -> Result<Option<Asked>> {
    let row = sqlx::query!(
        r#"with old as (
             select r.org_id, r.id, r.ended_at, r.cancel_requested_at from runs r
             join agents a on a.org_id = r.org_id and a.id = r.agent_id
             where r.org_id = $1 and a.name = $2 and r.id = $3
             for no key update of r)
           update runs r set
             cancel_requested_at = case when old.ended_at is null
               then coalesce(old.cancel_requested_at, $4) else old.cancel_requested_at end,
             cancel_requested_by = case when old.ended_at is null and old.cancel_requested_at is null
               then $5 else r.cancel_requested_by end
           from old where r.org_id = old.org_id and r.id = old.id
           returning (old.ended_at is null) as "open!", (old.cancel_requested_at is null) as "unasked!",
             r.cancel_requested_at, (r.node_id = '00000000-0000-0000-0000-000000000000') as "nobodys!",
             case when not $7 or old.ended_at is not null or r.node_id = $6 then null
               else pg_notify('bulkhead_cancel', r.org_id || ' ' || r.id)::text end as told"#,
        org.0,
        agent,
        run.0,
        now,
        by.0,
        node.0,
        tells,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Asked {
        first: row.open && row.unasked,
        open: row.open,
        nobodys: row.nobodys,
        requested_at: row.cancel_requested_at.unwrap_or(now),
    }))
}
