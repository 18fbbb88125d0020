//! A conversation's memory as its owner sees and deletes it: what the runs that have ended left.

use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::store;
use crate::conversations::join::busy;
use crate::conversations::{self, ConversationId, Conversations};
use crate::guardrails::redact::{self, Counts, Set};
use crate::identity::Caller;
use crate::kit::{Error, Result};
use crate::ledger::audit::{Action, Target, record};

/// What an agent keeps for a conversation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Memory {
    /// In the order of the keys' bytes; as many as a memory may hold.
    pub entries: Vec<Entry>,
    /// Bytes of keys and values, as they are kept.
    pub bytes: usize,
}

/// One key of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Entry {
    pub key: String,
    /// Without personal data where the version that wrote it keeps that from clients.
    pub value: String,
    /// The run that wrote it.
    pub run: String,
    #[serde(with = "time::serde::rfc3339")]
    pub written_at: OffsetDateTime,
}

impl From<store::Row> for Entry {
    fn from(row: store::Row) -> Self {
        let clean = |text: String| {
            let set = Set::with_pii(row.hides_pii);
            redact::text(set, &text, &mut Counts::default()).into_owned()
        };
        Self {
            key: clean(row.key),
            value: clean(row.value),
            run: conversations::store::run(row.run_id),
            written_at: row.written_at,
        }
    }
}

impl Conversations {
    /// What the agent keeps for the caller's conversation.
    pub async fn memory(
        &self,
        caller: &Caller,
        (agent, id): (&str, ConversationId),
    ) -> Result<Memory> {
        self.get(caller, agent, id).await?;
        let rows = store::list(&self.db, caller.org, id).await?;
        Ok(Memory {
            bytes: rows.iter().map(|row| row.key.len() + row.value.len()).sum(),
            entries: rows.into_iter().map(Entry::from).collect(),
        })
    }

    /// Deletes it. A repeat changes nothing; an admin may do so with that of any key's conversation. Refused while a run
    /// goes on, which has read it.
    pub async fn forget(&self, caller: &Caller, agent: &str, id: ConversationId) -> Result<()> {
        let whose = (caller.org, conversations::show::owner(caller));
        let mut tx = self.db.begin().await?;
        let open = conversations::store::lock_one(&mut *tx, whose, (agent, id)).await?;
        match open {
            None => return Err(Error::not_found("conversation")),
            Some(Some(run)) => return Err(busy(run)),
            Some(None) => {}
        }
        let keys = store::forget(&mut *tx, caller.org, id).await?;
        store::mark_forgotten(&mut *tx, caller.org, id).await?;
        let target = Target::new("conversation", id);
        let did = caller.did(Action::ConversationMemoryDeleted, target);
        let detail = json!({ "agent": agent, "keys": keys });
        record(&mut tx, &[did.at(self.clock.now()).detail(&detail)]).await?;
        tx.commit().await?;
        Ok(())
    }
}
