//! A run that begins in a conversation: what was said there comes before what it is asked, and the version is the one the
//! conversation stays on.

use super::{Message, NewRun, Role};
use crate::agents::Resolved;
use crate::agents::channels::STABLE;
use crate::conversations::join::{CONVERSATION_BUSY, content};
use crate::conversations::{Entry, Joined};
use crate::identity::Caller;
use crate::kit::{Error, Result};
use crate::runs::Runs;
use crate::runs::store::NewRow;

impl Runs {
    /// The conversation the run is to begin in, if it names one.
    pub(super) async fn conversation_of(
        &self,
        caller: &Caller,
        agent: &str,
        new: &NewRun,
    ) -> Result<Option<Joined>> {
        let Some(id) = new.conversation_id else {
            return Ok(None);
        };
        let joined = self.inner.conversations.join(caller, agent, id).await?;
        Ok(Some(joined))
    }

    /// The version the run takes: the one its conversation stays on, the one it names, else its channel's.
    pub(super) async fn choose(
        &self,
        caller: &Caller,
        agent: &str,
        (new, joined): (&NewRun, Option<&Joined>),
    ) -> Result<Resolved> {
        let pinned = joined.and_then(|joined| joined.version);
        let agents = &self.inner.agents;
        let mut resolved = agents
            .resolve(caller, agent, pinned.or(new.version))
            .await?;
        if pinned.is_some() {
            let by_channel = joined.is_some_and(|joined| joined.channel.is_some());
            resolved.channel = by_channel.then_some(STABLE);
        }
        Ok(resolved)
    }

    /// What was said in the conversation before.
    pub(super) async fn before(
        &self,
        caller: &Caller,
        joined: Option<&Joined>,
    ) -> Result<Vec<Message>> {
        let Some(joined) = joined else {
            return Ok(Vec::new());
        };
        let config = &self.inner.config;
        let bounds = (config.conversation_messages, config.conversation_bytes);
        let conversations = &self.inner.conversations;
        let said = conversations.history(caller.org, joined.id, bounds).await?;
        let said = said.into_iter().map(|said| Message {
            role: match said.by_user {
                true => Role::User,
                false => Role::Assistant,
            },
            text: said.text,
        });
        Ok(said.collect())
    }

    /// The refusal of a run whose conversation moved on while it was started, with the name of the run that was faster.
    pub(super) async fn overtaken(
        &self,
        caller: &Caller,
        agent: &str,
        (joined, refused): (Option<&Joined>, Error),
    ) -> Error {
        let Some(joined) = joined.filter(|_| refused.is(CONVERSATION_BUSY)) else {
            return refused;
        };
        let again = self.inner.conversations.join(caller, agent, joined.id);
        again.await.err().unwrap_or(refused)
    }
}

/// What the run writes in its conversation when it begins.
pub(super) fn entry(
    row: &NewRow,
    joined: Option<&Joined>,
    asked: &str,
) -> Result<Option<Box<Entry>>> {
    let entry = |joined: &Joined| {
        Ok(Box::new(Entry {
            org: row.org,
            conversation: joined.id,
            run: row.run.0,
            turns: joined.turns,
            was: joined.version,
            version: row.version,
            channel: row.channel.clone(),
            content: content(asked)?,
            at: row.created_at,
        }))
    };
    joined.map(entry).transpose()
}
