//! Runs in conversations: what a run finds when it is started in one, what it writes there when it begins and when it
//! ends. Runs write through the group commit; here is what they hand to it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{ConversationId, Conversations, store};
use crate::identity::Caller;
use crate::kit::{Code, Error, OrgId, Result};

pub const CONVERSATION_BUSY: Code = Code::new(
    "conversation_busy",
    409,
    "Another run of the conversation goes on",
);
pub const CONVERSATION_ARCHIVED: Code = Code::new(
    "conversation_archived",
    409,
    "The conversation was archived",
);

/// A conversation as a run that is to begin in it finds it.
#[derive(Clone, Debug)]
pub struct Joined {
    pub id: ConversationId,
    pub turns: i32,
    /// The version it is pinned to; none before its first run.
    pub version: Option<i32>,
    pub channel: Option<String>,
    pub open_run: Option<Uuid>,
    pub archived_at: Option<OffsetDateTime>,
}

/// What was said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub by_user: bool,
    pub text: String,
}

/// The beginning of a run in a conversation.
#[derive(Clone, Debug)]
pub struct Entry {
    pub org: OrgId,
    pub conversation: ConversationId,
    pub run: Uuid,
    /// As it was found: where it has moved on, or was pinned to another version, that is not overwritten.
    pub turns: i32,
    pub was: Option<i32>,
    pub version: i32,
    pub channel: Option<String>,
    /// What was asked, in the form it is kept in.
    pub content: String,
    pub at: OffsetDateTime,
}

/// The end of a run in a conversation.
#[derive(Clone, Debug)]
pub struct Answer {
    pub org: OrgId,
    pub conversation: ConversationId,
    pub run: Uuid,
    pub version: i32,
    /// What was shown, in the form it is kept in; partial where the run was stopped.
    pub content: String,
    pub stop_reason: String,
    pub at: OffsetDateTime,
    /// It may have written to the memory.
    pub remembers: bool,
    /// Its version keeps personal data from clients.
    pub hides_pii: bool,
}

/// One part of a message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text { text: String },
}

/// A text as a message keeps it.
pub fn content(text: &str) -> Result<String> {
    let text = text.to_owned();
    serde_json::to_string(&[Part::Text { text }]).map_err(Error::internal)
}

/// The text of a kept message. A part that this host does not know is passed over.
pub(super) fn text_of(content: &str) -> Result<String> {
    let parts: Vec<serde_json::Value> = serde_json::from_str(content).map_err(Error::internal)?;
    let parts = parts.into_iter().filter_map(|part| {
        let Part::Text { text } = serde_json::from_value(part).ok()?;
        Some(text)
    });
    Ok(parts.collect())
}

impl Conversations {
    /// The caller's conversation with the agent, for a run to begin in.
    pub async fn join(&self, caller: &Caller, agent: &str, id: ConversationId) -> Result<Joined> {
        let whose = (caller.org, caller.key);
        let joined = store::join(&self.db, whose, agent, id)
            .await?
            .ok_or_else(|| Error::not_found("conversation"))?;
        if joined.archived_at.is_some() {
            return Err(CONVERSATION_ARCHIVED
                .because("Nothing is said in it any more: begin another conversation."));
        }
        if let Some(run) = joined.open_run {
            return Err(busy(run));
        }
        Ok(joined)
    }

    /// What was said in it, oldest first: as many of the newest messages as fit both bounds, from one of the user's on.
    pub async fn history(
        &self,
        org: OrgId,
        id: ConversationId,
        (messages, bytes): (usize, usize),
    ) -> Result<Vec<Said>> {
        let bound = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let span = store::Span {
            before: None,
            limit: bound(messages),
            bytes: bound(bytes),
            frame: bound(content("")?.len()),
            one_at_least: false,
        };
        let mut kept = Vec::new();
        for message in store::newest(&self.db, (org, id), &span).await? {
            let Some(content) = &message.content else {
                break;
            };
            let text = text_of(content)?;
            let by_user = message.role == "user";
            if !text.is_empty() {
                kept.push(Said { by_user, text });
            }
        }
        while kept.last().is_some_and(|oldest: &Said| !oldest.by_user) {
            kept.pop();
        }
        kept.reverse();
        Ok(kept)
    }
}

/// The refusal that names the run.
pub fn busy(run: Uuid) -> Error {
    let run = format!("run_{}", run.simple());
    CONVERSATION_BUSY
        .because(format!(
            "{run} goes on in this conversation: wait for its end or cancel it, then ask again."
        ))
        .member("run", run)
}
