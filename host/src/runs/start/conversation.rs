//! A run that begins in a conversation: what was said there comes before what it is asked, and the version is the one the
//! conversation stays on.

use super::{Message, NewRun, Role};
use crate::agents::Resolved;
use crate::agents::channels::{By, Channel};
use crate::conversations::join::{CONVERSATION_BUSY, content};
use crate::conversations::{Entry, Joined};
use crate::identity::Caller;
use crate::kit::{Error, Result};
use crate::runs::store::NewRow;
use crate::runs::{RunId, Runs};

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

    /// The version the run takes: the one its conversation stays on, the one it names, its channel's, or by lot. A version
    /// that was deleted under a conversation is chosen anew.
    pub(super) async fn choose(
        &self,
        caller: &Caller,
        agent: &str,
        (new, joined, run): (&NewRun, Option<&Joined>, RunId),
    ) -> Result<Resolved> {
        let agents = &self.inner.agents;
        if let Some(joined) = joined
            && let Some(pinned) = joined.version
        {
            let mut resolved = agents.resolve(caller, agent, By::Version(pinned)).await?;
            if !resolved.is_deleted {
                let channel = joined.channel.as_deref().and_then(Channel::named);
                resolved.channel = channel.map(Channel::as_str);
                return Ok(resolved);
            }
        }
        let channel = new.channel.as_deref().and_then(Channel::named);
        let id = joined.map_or(run.0, |joined| joined.id.0);
        let by = match new.version {
            Some(number) => By::Version(number),
            None => channel.map_or(By::Lot(id), By::Channel),
        };
        let resolved = agents.resolve(caller, agent, by).await?;
        match resolved.is_deleted {
            true => Err(Error::not_found("agent or version")),
            false => Ok(resolved),
        }
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
            channel_named: row.channel_named,
            content: content(asked)?,
            at: row.created_at,
        }))
    };
    joined.map(entry).transpose()
}
