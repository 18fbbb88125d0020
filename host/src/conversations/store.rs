//! The statements of conversations. Those of a run's beginning and end take a whole batch.

use std::collections::HashSet;

use sqlx::{PgConnection, PgExecutor, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::join::{Answer, Entry, Joined};
use super::{Conversation, ConversationId, Message};
use crate::identity::KeyId;
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};

/// The columns of a batch: one `Vec` for each column of one `unnest`.
macro_rules! column {
    ($rows:expr, $row:pat => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}

/// Locks the conversations of a batch, in order, so that batches do not wait for each other in a circle.
pub async fn lock(tx: &mut PgConnection, all: &[(OrgId, ConversationId)]) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "select c.id from conversations c join unnest($1::uuid[], $2::uuid[]) as k (org, id)
           on c.org_id = k.org and c.id = k.id
         order by c.org_id, c.id for no key update of c",
        &column!(all, (org, _) => org.0),
        &column!(all, (_, id) => id.0),
    )
    .fetch_all(tx)
    .await?;
    Ok(())
}

/// Lets runs begin in their conversations, writes what they were asked, and answers with those that were let in: there is
/// no other run that goes on, nothing was said since, and the version was not deleted. A beginning that is written again
/// is let in again.
pub async fn enter(tx: &mut PgConnection, entries: &[&Entry]) -> Result<HashSet<Uuid>> {
    if entries.is_empty() {
        return Ok(HashSet::new());
    }
    let runs = sqlx::query_scalar!(
        r#"with entered as (
             update conversations c set open_run = t.run,
               turns = c.turns + case when c.open_run = t.run then 0 else 1 end,
               version = case when c.version is not distinct from t.was then t.version else c.version end,
               channel = case when c.version is not distinct from t.was then t.channel else c.channel end
             from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::integer[], $6::integer[], $7::text[],
               $8::text[], $9::timestamptz[]) as t (org, id, run, turns, was, version, channel, content, at)
             where c.org_id = t.org and c.id = t.id
               and (c.open_run = t.run or (c.turns = t.turns and c.archived_at is null
                 and (c.open_run is null or exists (
                   select from runs r where r.org_id = c.org_id and r.id = c.open_run and r.ended_at is not null))
                 and not exists (select from agent_versions v where v.org_id = c.org_id and v.agent_id = c.agent_id
                   and v.number = t.version and v.deleted_at is not null)))
             returning c.org_id, c.id, c.turns, t.run, t.version, t.content, t.at),
           said as (
             insert into conversation_messages (org_id, conversation_id, turn, role, content, run_id, version, created_at)
             select org_id, id, turns, 'user', content::json, run, version, at from entered
             on conflict on constraint conversation_messages_pkey do nothing)
           select run as "run!" from entered"#,
        &column!(entries, entry => entry.org.0),
        &column!(entries, entry => entry.conversation.0),
        &column!(entries, entry => entry.run),
        &column!(entries, entry => entry.turns),
        &column!(entries, entry => entry.was) as &[Option<i32>],
        &column!(entries, entry => entry.version),
        &column!(entries, entry => entry.channel.clone()) as &[Option<String>],
        &column!(entries, entry => entry.content.clone()),
        &column!(entries, entry => entry.at),
    )
    .fetch_all(tx)
    .await?;
    Ok(runs.into_iter().collect())
}

/// Writes what runs that end have answered, and makes room for the next.
pub async fn answer(tx: &mut PgConnection, answers: &[&Answer]) -> Result<()> {
    if answers.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "with left_by as (
           update conversations c set open_run = null
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::integer[], $5::text[], $6::text[], $7::timestamptz[])
             as t (org, id, run, version, content, stop_reason, at)
           where c.org_id = t.org and c.id = t.id and c.open_run = t.run
           returning c.org_id, c.id, c.turns, t.run, t.version, t.content, t.stop_reason, t.at)
         insert into conversation_messages
           (org_id, conversation_id, turn, role, content, run_id, version, stop_reason, created_at)
         select org_id, id, turns, 'assistant', content::json, run, version, stop_reason, at from left_by
         on conflict on constraint conversation_messages_pkey do nothing",
        &column!(answers, answer => answer.org.0),
        &column!(answers, answer => answer.conversation.0),
        &column!(answers, answer => answer.run),
        &column!(answers, answer => answer.version),
        &column!(answers, answer => answer.content.clone()),
        &column!(answers, answer => answer.stop_reason.clone()),
        &column!(answers, answer => answer.at),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The conversation as a run finds it. A run that has ended is not in the way, even where its host left it there.
pub(super) async fn join(
    db: &PgPool,
    (org, key): (OrgId, KeyId),
    agent: &str,
    id: ConversationId,
) -> Result<Option<Joined>> {
    let joined = sqlx::query_as!(
        Joined,
        r#"select c.id as "id: ConversationId", c.turns, c.version, c.channel, c.archived_at,
             case when r.ended_at is null then c.open_run end as open_run
           from conversations c join agents a on a.org_id = c.org_id and a.id = c.agent_id
           left join runs r on r.org_id = c.org_id and r.id = c.open_run
           where c.org_id = $1 and c.key_id = $2 and a.name = $3 and c.id = $4"#,
        org.0,
        key.0,
        agent,
        id.0,
    );
    Ok(joined.fetch_optional(db).await?)
}

pub(super) async fn insert(
    db: &PgPool,
    (org, key): (OrgId, KeyId),
    (agent, id): (&str, ConversationId),
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query!(
        "insert into conversations (org_id, id, agent_id, key_id, created_at)
         select a.org_id, $4, a.id, $2, $5 from agents a where a.org_id = $1 and a.name = $3
         on conflict on constraint conversations_pkey do nothing",
        org.0,
        key.0,
        agent,
        id.0,
        now,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn is_agent(db: impl PgExecutor<'_>, org: OrgId, agent: &str) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"select exists (select from agents where org_id = $1 and name = $2) as "found!""#,
        org.0,
        agent,
    );
    Ok(found.fetch_one(db).await?)
}

struct Row {
    id: ConversationId,
    agent: String,
    version: Option<i32>,
    channel: Option<String>,
    turns: i32,
    open_run: Option<Uuid>,
    created_at: OffsetDateTime,
    archived_at: Option<OffsetDateTime>,
}

impl From<Row> for Conversation {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            agent: row.agent,
            version: row.version,
            channel: row.channel,
            turns: row.turns,
            open_run: row.open_run.map(run),
            created_at: row.created_at,
            archived_at: row.archived_at,
        }
    }
}

pub(super) fn run(id: Uuid) -> String {
    format!("run_{}", id.simple())
}

pub(super) async fn find(
    db: &PgPool,
    (org, key): (OrgId, KeyId),
    agent: &str,
    id: ConversationId,
) -> Result<Option<Conversation>> {
    let found = sqlx::query_as!(
        Row,
        r#"select c.id as "id: ConversationId", a.name as agent, c.version, c.channel, c.turns, c.open_run, c.created_at,
             c.archived_at
           from conversations c join agents a on a.org_id = c.org_id and a.id = c.agent_id
           where c.org_id = $1 and c.key_id = $2 and a.name = $3 and c.id = $4"#,
        org.0,
        key.0,
        agent,
        id.0,
    );
    Ok(found.fetch_optional(db).await?.map(Conversation::from))
}

/// A key's own, or all of the organization where no key is named.
pub(super) async fn list(
    db: &PgPool,
    (org, key): (OrgId, Option<KeyId>),
    agent: &str,
    (after, limit): (Option<Cursor>, i64),
) -> Result<Vec<Conversation>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id as "id: ConversationId", a.name as agent, c.version, c.channel, c.turns, c.open_run, c.created_at,
             c.archived_at
           from conversations c join agents a on a.org_id = c.org_id and a.id = c.agent_id
           where c.org_id = $1 and ($2::uuid is null or c.key_id = $2) and a.name = $3 and c.archived_at is null
             and ($4::timestamptz is null or (c.created_at, c.id) < ($4, $5::uuid))
           order by c.created_at desc, c.id desc limit $6"#,
        org.0,
        key.map(|key| key.0),
        agent,
        at,
        id,
        limit,
    );
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(Conversation::from).collect())
}

/// Which messages to read: older than a place, so many, of so many bytes.
pub(super) struct Span {
    /// Turn times two, plus one for an answer.
    pub(super) before: Option<i64>,
    pub(super) limit: i64,
    pub(super) bytes: i64,
    /// Of each message, what is not counted.
    pub(super) frame: i64,
    /// The first is read whatever its size.
    pub(super) one_at_least: bool,
}

/// A message as it is kept; without its content where that has no room, and then it is the last.
pub(super) struct Kept {
    pub(super) turn: i32,
    pub(super) role: String,
    pub(super) content: Option<String>,
    run_id: Uuid,
    version: i32,
    stop_reason: Option<String>,
    created_at: OffsetDateTime,
}

impl Kept {
    pub(super) fn shown(self) -> Result<Message> {
        let content = self.content.as_deref().map(serde_json::from_str);
        Ok(Message {
            turn: self.turn,
            role: self.role,
            content: content.transpose()?.unwrap_or_default(),
            run: run(self.run_id),
            version: self.version,
            stop_reason: self.stop_reason,
            created_at: self.created_at,
        })
    }
}

/// Newest first. One by one, because none behind the last that has room may be read for its size alone.
pub(super) async fn newest(
    db: &PgPool,
    (org, id): (OrgId, ConversationId),
    span: &Span,
) -> Result<Vec<Kept>> {
    let kept = sqlx::query_as!(
        Kept,
        r#"with recursive newest as (
             select 1::bigint as place, f.turn, f.role, octet_length(f.content::text) - $6::bigint as bytes from (
               select turn, role, content from conversation_messages
               where org_id = $1 and conversation_id = $2
                 and ($3::bigint is null or turn::bigint * 2 + (role = 'assistant')::int < $3)
               order by turn desc, role limit 1) f
             union all
             select n.place + 1, f.turn, f.role, n.bytes + octet_length(f.content::text) - $6 from newest n
             cross join lateral (
               select m.turn, m.role, m.content from conversation_messages m
               where m.org_id = $1 and m.conversation_id = $2
                 and m.turn <= n.turn and (m.turn < n.turn or m.role > n.role)
               order by m.turn desc, m.role limit 1) f
             where n.place < $4 and (n.bytes <= $5 or (n.place = 1 and $7::boolean)))
           select m.turn, m.role, m.run_id, m.version, m.stop_reason, m.created_at,
             case when n.bytes <= $5 or (n.place = 1 and $7) then m.content::text end as content
           from newest n join conversation_messages m
             on m.org_id = $1 and m.conversation_id = $2 and m.turn = n.turn and m.role = n.role
           order by n.place"#,
        org.0,
        id.0,
        span.before,
        span.limit,
        span.bytes,
        span.frame,
        span.one_at_least,
    );
    Ok(kept.fetch_all(db).await?)
}

/// Whether there is such a conversation, of the key where one is named; the first time stands.
pub(super) async fn archive(
    db: impl PgExecutor<'_>,
    (org, key): (OrgId, Option<KeyId>),
    (agent, id): (&str, ConversationId),
    now: OffsetDateTime,
) -> Result<bool> {
    let archived = sqlx::query!(
        "update conversations c set archived_at = coalesce(c.archived_at, $5) from agents a
         where c.org_id = $1 and ($2::uuid is null or c.key_id = $2) and c.id = $4
           and a.org_id = c.org_id and a.id = c.agent_id and a.name = $3",
        org.0,
        key.map(|key| key.0),
        agent,
        id.0,
        now,
    );
    Ok(archived.execute(db).await?.rows_affected() > 0)
}

/// Locks the conversation, of the key where one is named, and tells which run goes on in it.
pub(super) async fn lock_one(
    db: impl PgExecutor<'_>,
    (org, key): (OrgId, Option<KeyId>),
    (agent, id): (&str, ConversationId),
) -> Result<Option<Option<Uuid>>> {
    let open = sqlx::query_scalar!(
        "select case when r.ended_at is null then c.open_run end as open_run
         from conversations c join agents a on a.org_id = c.org_id and a.id = c.agent_id
         left join runs r on r.org_id = c.org_id and r.id = c.open_run
         where c.org_id = $1 and ($2::uuid is null or c.key_id = $2) and a.name = $3 and c.id = $4
         for no key update of c",
        org.0,
        key.map(|key| key.0),
        agent,
        id.0,
    );
    Ok(open.fetch_optional(db).await?)
}
