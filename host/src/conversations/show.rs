//! Conversations as their owner makes, lists, reads and archives them.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ConversationId, Conversations, memory, store};
use crate::identity::{Caller, KeyId, Scope};
use crate::kit::http::{Cursor, Page, PageQuery};
use crate::kit::{Error, Result};

/// A page of messages ends where their parts, as JSON, are larger than this.
const PAGE_BYTES: i64 = 4 << 20;

/// A conversation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Conversation {
    #[schema(value_type = String)]
    pub id: ConversationId,
    pub agent: String,
    /// The version its runs take; absent before its first run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// The channel the version came by; absent where it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How many runs it had.
    pub turns: i32,
    /// The run that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_run: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub archived_at: Option<OffsetDateTime>,
}

/// One message of a conversation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message {
    /// Which run of the conversation it is of, from 1.
    pub turn: i32,
    /// user or assistant.
    pub role: String,
    /// Its parts: `{type: "text", text}`.
    #[schema(value_type = Vec<Object>)]
    pub content: serde_json::Value,
    pub run: String,
    /// The version that was asked.
    pub version: i32,
    /// Why the run ended; of the assistant's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl Conversations {
    /// A new one of the caller's. `id` is given where the request may be a repeat.
    pub async fn create(
        &self,
        caller: &Caller,
        agent: &str,
        id: Option<Uuid>,
    ) -> Result<Conversation> {
        let id = id.map_or_else(|| self.ids.next(), ConversationId);
        let now = self.clock.now();
        let whose = (caller.org, caller.key);
        store::insert(&self.db, whose, (agent, id), now).await?;
        // There is no row where there is no such agent.
        let made = store::find(&self.db, whose, agent, id).await?;
        made.ok_or_else(|| Error::not_found("agent"))
    }

    /// The caller's own that are not archived, newest first; an admin's are all of the organization.
    pub async fn list(
        &self,
        caller: &Caller,
        agent: &str,
        query: &PageQuery,
    ) -> Result<Page<Conversation>> {
        let filter = format!("conversations {} {} {agent}", caller.org, caller.key);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let whose = (caller.org, owner(caller));
        let rows = store::list(&self.db, whose, agent, (start, limit + 1)).await?;
        if rows.is_empty() && !store::is_agent(&self.db, caller.org, agent).await? {
            return Err(Error::not_found("agent"));
        }
        Ok(self.cursors.page(rows, limit, &filter, |conversation| {
            let (at, id) = (conversation.created_at, conversation.id.0);
            (Cursor { at, id }, conversation)
        }))
    }

    pub async fn get(
        &self,
        caller: &Caller,
        agent: &str,
        id: ConversationId,
    ) -> Result<Conversation> {
        store::find(&self.db, (caller.org, caller.key), agent, id)
            .await?
            .ok_or_else(|| Error::not_found("conversation"))
    }

    /// What was said in it, newest first.
    pub async fn messages(
        &self,
        caller: &Caller,
        (agent, id): (&str, ConversationId),
        query: &PageQuery,
    ) -> Result<Page<Message>> {
        self.get(caller, agent, id).await?;
        let filter = format!("messages {} {id}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        // Turns and roles order messages; the cursor carries both in the place of an id.
        let before = start.and_then(|cursor| i64::try_from(cursor.id.as_u128()).ok());
        let span = store::Span {
            before,
            limit: limit + 1,
            bytes: PAGE_BYTES,
            frame: 0,
            one_at_least: true,
        };
        let rows = store::newest(&self.db, (caller.org, id), &span).await?;
        let fit = rows.iter().take_while(|row| row.content.is_some()).count();
        let limit = limit.min(i64::try_from(fit).unwrap_or(i64::MAX));
        let rows: Result<Vec<_>> = rows.into_iter().map(store::Kept::shown).collect();
        Ok(self.cursors.page(rows?, limit, &filter, |message| {
            let place = i64::from(message.turn) * 2 + i64::from(message.role == "assistant");
            let id = Uuid::from_u128(place.unsigned_abs().into());
            let at = message.created_at;
            (Cursor { at, id }, message)
        }))
    }

    /// Hides it from lists, deletes its memory and lets no further run begin in it. A repeat changes nothing. An admin may
    /// do so with any.
    pub async fn archive(&self, caller: &Caller, agent: &str, id: ConversationId) -> Result<()> {
        let whose = (caller.org, owner(caller));
        let mut tx = self.db.begin().await?;
        // Its row is locked by this: a run that goes on and ends later leaves nothing in the memory.
        if !store::archive(&mut *tx, whose, (agent, id), self.clock.now()).await? {
            return Err(Error::not_found("conversation"));
        }
        memory::forget(&mut *tx, caller.org, id).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Whose conversations the caller may list, archive and let forget: an admin's are everybody's.
pub(super) fn owner(caller: &Caller) -> Option<KeyId> {
    match caller.need(Scope::Admin) {
        Ok(()) => None,
        Err(_) => Some(caller.key),
    }
}
