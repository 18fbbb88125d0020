//! Moving a channel: promote, canary, rollback, by a key or by the host that judged. Each is one transaction under the lock of
//! the agent's row, with its row of the history, its audit action and its event; conversations that choose again are pinned
//! anew after it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::judge::Thresholds;
use super::pointers::{Pointers, To};
use super::{Channel, Channels, MoveId, store};
use crate::agents::{Agent, AgentId, Agents, signed};
use crate::conversations;
use crate::identity::{Caller, KeyId};
use crate::kit::error::CONFLICT;
use crate::kit::{Error, OrgId, Result};
use crate::ledger::audit::{Action, Actor, Entry, Target, record};
use crate::ledger::outbox::{Notice, Topic, announce};

/// Which version to make stable.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveChannel {
    /// A number of the agent's versions.
    pub version: i32,
    /// Open conversations choose again; else they stay on their versions.
    #[serde(default)]
    pub repin: bool,
    /// What the version may ask for beyond the stable one, each by its name in the diff.
    #[serde(default)]
    pub approve_capabilities: Vec<String>,
}

/// Which version some of the runs take, and how many.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveCanary {
    /// A number of the agent's versions, not the stable one.
    pub version: i32,
    /// The part of new conversations, and of runs of none: more than 0, at most 1.
    pub weight: f64,
    /// Open conversations choose again; else they stay on their versions.
    #[serde(default)]
    pub repin: bool,
    /// What the version may ask for beyond the stable one, each by its name in the diff.
    #[serde(default)]
    pub approve_capabilities: Vec<String>,
    /// When the host ends it by itself; absent, nobody judges it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<Thresholds>,
}

/// What to take back.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// `stable` goes back to the version that was stable before, `canary` ends the canary.
    pub channel: Channel,
    /// Open conversations choose again; else they stay on their versions.
    #[serde(default)]
    pub repin: bool,
}

/// One move.
pub(super) struct Move<'a> {
    pub(super) to: To,
    pub(super) repin: bool,
    pub(super) approved: &'a [String],
    /// The stable version that approval was asked against.
    pub(super) against: Option<Option<i32>>,
}

/// Who moves.
#[derive(Clone, Copy)]
pub(super) enum Mover<'a> {
    Key(&'a Caller),
    /// The host, for what it saw while the channels were there.
    Host {
        org: OrgId,
        seen: &'a Pointers,
        reason: &'a str,
        figures: &'a Value,
    },
}

/// A move as the history keeps it.
pub(super) struct Moved<'a> {
    pub(super) id: MoveId,
    pub(super) action: &'static str,
    pub(super) channel: Channel,
    pub(super) version: Option<i32>,
    pub(super) previous: Option<i32>,
    pub(super) weight: Option<f64>,
    pub(super) repinned: i64,
    pub(super) approved: &'a [String],
    pub(super) by: Option<KeyId>,
    pub(super) reason: Option<&'a str>,
    pub(super) at: OffsetDateTime,
}

impl Agents {
    /// Makes a version the stable one; a canary on it has become it.
    pub async fn promote(&self, caller: &Caller, name: &str, to: &MoveChannel) -> Result<Channels> {
        let agent = self.get(caller, name).await?;
        let approved = self
            .approved(caller, &agent, (to.version, &to.approve_capabilities))
            .await?;
        let step = Move {
            to: To::Stable(to.version),
            repin: to.repin,
            approved: &approved,
            against: Some(agent.stable),
        };
        self.move_channel(Mover::Key(caller), (agent.id, name), &step)
            .await
    }

    /// Gives a version a share of new conversations and runs.
    pub async fn canary(&self, caller: &Caller, name: &str, to: &MoveCanary) -> Result<Channels> {
        if !(to.weight > 0.0 && to.weight <= 1.0) {
            return Err(
                Error::unprocessable("The canary's share cannot be this.").field(
                    "/weight",
                    "must be more than 0 and at most 1; `rollback` ends a canary",
                ),
            );
        }
        to.judge.as_ref().map_or(Ok(()), Thresholds::check)?;
        let agent = self.get(caller, name).await?;
        let approved = self
            .approved(caller, &agent, (to.version, &to.approve_capabilities))
            .await?;
        let step = Move {
            to: To::Canary(to.version, to.weight, to.judge),
            repin: to.repin,
            approved: &approved,
            against: Some(agent.stable),
        };
        self.move_channel(Mover::Key(caller), (agent.id, name), &step)
            .await
    }

    /// Goes back to the version that was stable before, or ends the canary.
    pub async fn rollback(&self, caller: &Caller, name: &str, what: &Rollback) -> Result<Channels> {
        let agent = self.get(caller, name).await?;
        let step = Move {
            to: To::Back(what.channel),
            repin: what.repin,
            approved: &[],
            against: None,
        };
        self.move_channel(Mover::Key(caller), (agent.id, name), &step)
            .await
    }

    /// What of the approvals the version asks for beyond stable: all that it does.
    async fn approved(
        &self,
        caller: &Caller,
        agent: &Agent,
        (number, approved): (i32, &[String]),
    ) -> Result<Vec<String>> {
        if number < 1 {
            return Err(Error::not_found("version"));
        }
        let diff = self.diff_of(caller, agent, number).await?;
        diff.approved_by(number, approved)
    }

    pub(super) async fn move_channel(
        &self,
        mover: Mover<'_>,
        (agent, name): (AgentId, &str),
        step: &Move<'_>,
    ) -> Result<Channels> {
        let (which, now) = ((mover.org(), agent), self.clock.now());
        let mut tx = self.db.begin().await?;
        let before = store::lock(&mut tx, which).await?;
        step.check_still(mover, before.as_ref())?;
        if let Some(number) = step.to.version() {
            may_be_pointed_at(&mut tx, (which, name), (number, before.as_ref())).await?;
        }
        let living = store::living(&mut *tx, which, before.as_ref()).await?;
        let after = Pointers::moved(before.as_ref(), (name, now), step.to, &living)?;
        store::put(&mut tx, which, &after, now).await?;
        let (of, to) = ((which.0, agent.0), (after.stable, after.canary));
        let choosing = match step.repin {
            true => conversations::choosing(&mut *tx, of, to).await?,
            false => Vec::new(),
        };
        let channel = step.to.channel();
        let weight = after.canary.filter(|_| channel == Channel::Canary);
        let moved = Moved {
            id: self.ids.next(),
            action: action(step.to.topic()),
            channel,
            version: after.at(channel),
            previous: before.as_ref().and_then(|before| before.at(channel)),
            weight: weight.map(|(_, weight)| weight),
            repinned: i64::try_from(choosing.len()).unwrap_or(i64::MAX),
            approved: step.approved,
            by: mover.key(),
            reason: mover.reason(),
            at: now,
        };
        store::insert_move(&mut *tx, which, &moved).await?;
        self.tell_move(&mut tx, mover, (name, step, &moved)).await?;
        tx.commit().await?;
        self.pointed.invalidate_all();
        let repinned = conversations::repin(&self.db, of, to, &choosing).await?;
        tracing::info!(org = %which.0, agent = name, channel = channel.as_str(), action = moved.action, version = moved.version, "a channel moved");
        Ok(Channels::new(name, Some(&after), &living).repinned(repinned))
    }

    /// The event and the audit row of a move; last in its transaction.
    async fn tell_move(
        &self,
        tx: &mut PgConnection,
        mover: Mover<'_>,
        (agent, step, moved): (&str, &Move<'_>, &Moved<'_>),
    ) -> Result<()> {
        let mut told = json!({
            "agent": agent,
            "channel": moved.channel,
            "version": moved.version,
            "previous": moved.previous,
            "weight": moved.weight,
        });
        let mut detail = json!({
            "version": moved.version,
            "previous": moved.previous,
            "weight": moved.weight,
            "repinned": moved.repinned,
            "approved": moved.approved,
        });
        if let To::Canary(_, _, Some(judge)) = step.to {
            detail["judge"] = json!(judge);
        }
        if let Mover::Host {
            reason, figures, ..
        } = mover
        {
            for of in [&mut told, &mut detail] {
                of["reason"] = json!(reason);
                of["figures"] = figures.clone();
            }
        }
        let topic = step.to.topic();
        let notice = Notice::new(self.ids.next(), mover.org(), topic, moved.at, &told);
        announce(&mut *tx, [&notice]).await?;
        let target = format!("{agent}/{}", moved.channel.as_str());
        let target = Target::new("agent_channel", target);
        let did = mover.did(audited(topic), target, moved.at);
        record(tx, &[did.changed(["version"]).detail(&detail)]).await
    }
}

impl Mover<'_> {
    fn org(self) -> OrgId {
        match self {
            Self::Key(caller) => caller.org,
            Self::Host { org, .. } => org,
        }
    }

    fn key(self) -> Option<KeyId> {
        match self {
            Self::Key(caller) => Some(caller.key),
            Self::Host { .. } => None,
        }
    }

    fn did(self, action: Action, target: Target, at: OffsetDateTime) -> Entry {
        match self {
            Self::Key(caller) => caller.did(action, target).at(at),
            Self::Host { org, .. } => {
                Entry::new(org, at, Actor::host("agents.judge"), action, target)
            }
        }
    }
}

impl<'a> Mover<'a> {
    fn reason(self) -> Option<&'a str> {
        match self {
            Self::Key(_) => None,
            Self::Host { reason, .. } => Some(reason),
        }
    }
}

impl Move<'_> {
    /// What was asked, or seen, is still so under the lock.
    fn check_still(&self, mover: Mover<'_>, before: Option<&Pointers>) -> Result<()> {
        let stable = before.map(|before| before.stable);
        if self.against.is_some_and(|against| against != stable) {
            let what = "The stable version changed in this moment: look at it, and ask again.";
            return Err(CONFLICT.because(what));
        }
        match mover {
            Mover::Host { seen, .. } if before != Some(seen) => {
                Err(CONFLICT.because("The channels moved since they were looked at."))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a version that is not there, and one that nobody signed where that is required; the one that is stable stays so.
async fn may_be_pointed_at(
    tx: &mut PgConnection,
    ((org, agent), name): ((OrgId, AgentId), &str),
    (number, before): (i32, Option<&Pointers>),
) -> Result<()> {
    let version = store::find_version(&mut *tx, (org, agent), number).await?;
    let version = version.ok_or_else(|| Error::not_found("version"))?;
    let is_stable = before.is_some_and(|before| before.stable == number);
    if is_stable || version.signed_by.is_some() {
        return Ok(());
    }
    signed::unsigned_is_taken(tx, org, (name, number)).await
}

impl To {
    fn topic(self) -> Topic {
        match self {
            Self::Stable(_) => Topic::ChannelPromoted,
            Self::Canary(..) => Topic::ChannelCanaryUpdated,
            Self::Back(_) => Topic::ChannelRolledBack,
        }
    }
}

fn action(topic: Topic) -> &'static str {
    match topic {
        Topic::ChannelCanaryUpdated => "canary_updated",
        Topic::ChannelRolledBack => "rolled_back",
        _ => "promoted",
    }
}

fn audited(topic: Topic) -> Action {
    match topic {
        Topic::ChannelCanaryUpdated => Action::AgentChannelCanaryUpdated,
        Topic::ChannelRolledBack => Action::AgentChannelRolledBack,
        _ => Action::AgentChannelPromoted,
    }
}
