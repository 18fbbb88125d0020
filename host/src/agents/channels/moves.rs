//! Moving a channel: promote, canary, rollback. Each is one transaction under the lock of the agent's row, with its row of
//! the history, its audit action and its event; conversations that choose again are pinned anew after it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::choose::{no_canary, no_stable};
use super::{Channel, Channels, MoveId, NO_PREVIOUS, store};
use crate::agents::{Agent, Agents};
use crate::conversations;
use crate::identity::{Caller, KeyId};
use crate::kit::error::CONFLICT;
use crate::kit::{Error, OrgId, Result};
use crate::ledger::audit::{Action, Target, record};
use crate::ledger::outbox::{Notice, Topic, announce};

/// How many versions back a rollback may go.
const EARLIER_MAX: usize = 50;

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

/// Where an agent's channels point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pointers {
    pub(super) stable: i32,
    pub(super) canary: Option<(i32, f64)>,
    pub(super) earlier: Vec<i32>,
}

/// One move.
pub(super) struct Move<'a> {
    pub(super) action: Topic,
    pub(super) channel: Channel,
    /// None: back.
    pub(super) to: Option<(i32, Option<f64>)>,
    pub(super) repin: bool,
    pub(super) approved: &'a [String],
    /// The stable version that approval was asked against.
    pub(super) against: Option<Option<i32>>,
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
            action: Topic::ChannelPromoted,
            channel: Channel::Stable,
            to: Some((to.version, None)),
            repin: to.repin,
            approved: &approved,
            against: Some(agent.stable),
        };
        self.move_channel(caller, &agent, &step).await
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
        let agent = self.get(caller, name).await?;
        let approved = self
            .approved(caller, &agent, (to.version, &to.approve_capabilities))
            .await?;
        let step = Move {
            action: Topic::ChannelCanaryUpdated,
            channel: Channel::Canary,
            to: Some((to.version, Some(to.weight))),
            repin: to.repin,
            approved: &approved,
            against: Some(agent.stable),
        };
        self.move_channel(caller, &agent, &step).await
    }

    /// Goes back to the version that was stable before, or ends the canary.
    pub async fn rollback(&self, caller: &Caller, name: &str, what: &Rollback) -> Result<Channels> {
        let agent = self.get(caller, name).await?;
        let step = Move {
            action: Topic::ChannelRolledBack,
            channel: what.channel,
            to: None,
            repin: what.repin,
            approved: &[],
            against: None,
        };
        self.move_channel(caller, &agent, &step).await
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

    async fn move_channel(
        &self,
        caller: &Caller,
        agent: &Agent,
        step: &Move<'_>,
    ) -> Result<Channels> {
        let (org, now) = (caller.org, self.clock.now());
        let mut tx = self.db.begin().await?;
        let which = (org, agent.id);
        let before = store::lock(&mut tx, which).await?;
        let stable = before.as_ref().map(|before| before.stable);
        if step.against.is_some_and(|against| against != stable) {
            let what = "The stable version changed in this moment: look at it, and ask again.";
            return Err(CONFLICT.because(what));
        }
        if let Some((number, _)) = step.to
            && store::find_version(&mut *tx, which, number)
                .await?
                .is_none()
        {
            return Err(Error::not_found("version"));
        }
        let living = store::living(&mut *tx, which, before.as_ref()).await?;
        let after = step.applied(&agent.name, before.as_ref(), &living)?;
        store::put(&mut *tx, which, &after, now).await?;
        let (of, to) = ((org, agent.id.0), (after.stable, after.canary));
        let choosing = match step.repin {
            true => conversations::choosing(&mut *tx, of, to).await?,
            false => Vec::new(),
        };
        let at = |of: &Pointers| match step.channel {
            Channel::Stable => Some(of.stable),
            Channel::Canary => of.canary.map(|(version, _)| version),
        };
        let moved = Moved {
            id: self.ids.next(),
            action: action(step.action),
            channel: step.channel,
            version: at(&after),
            previous: before.as_ref().and_then(at),
            weight: after
                .canary
                .filter(|_| step.channel == Channel::Canary)
                .map(|(_, w)| w),
            repinned: i64::try_from(choosing.len()).unwrap_or(i64::MAX),
            approved: step.approved,
            by: Some(caller.key),
            at: now,
        };
        store::insert_move(&mut *tx, which, &moved).await?;
        self.tell_move(&mut tx, (caller, org), (agent, step.action, &moved))
            .await?;
        tx.commit().await?;
        self.pointed.invalidate_all();
        let repinned = conversations::repin(&self.db, of, to, &choosing).await?;
        tracing::info!(org = %caller.slug, agent = agent.name, channel = step.channel.as_str(), action = moved.action, version = moved.version, "a channel moved");
        Ok(Channels::new(&agent.name, Some(&after), &living).repinned(repinned))
    }

    /// The event and the audit row of a move; last in its transaction.
    async fn tell_move(
        &self,
        tx: &mut sqlx::PgConnection,
        (caller, org): (&Caller, OrgId),
        (agent, topic, moved): (&Agent, Topic, &Moved<'_>),
    ) -> Result<()> {
        let told = json!({
            "agent": agent.name,
            "channel": moved.channel,
            "version": moved.version,
            "previous": moved.previous,
            "weight": moved.weight,
        });
        let notice = Notice::new(self.ids.next(), org, topic, moved.at, &told);
        announce(&mut *tx, [&notice]).await?;
        let target = Target::new(
            "agent_channel",
            format!("{}/{}", agent.name, moved.channel.as_str()),
        );
        let detail = json!({
            "version": moved.version,
            "previous": moved.previous,
            "weight": moved.weight,
            "repinned": moved.repinned,
            "approved": moved.approved,
        });
        let did = caller.did(audited(topic), target).at(moved.at);
        record(tx, &[did.changed(["version"]).detail(&detail)]).await
    }
}

impl Move<'_> {
    /// Where the channels point afterwards. `living` are the earlier versions that were not deleted.
    fn applied(&self, agent: &str, before: Option<&Pointers>, living: &[i32]) -> Result<Pointers> {
        let Some((number, weight)) = self.to else {
            return self.back(agent, before.ok_or_else(|| no_stable(agent))?, living);
        };
        let Some(weight) = weight else {
            return Ok(onto(number, before.cloned()));
        };
        let before = before.ok_or_else(|| no_stable(agent))?;
        if before.stable == number {
            return Err(CONFLICT.because(format!(
                "Version {number} is stable: it has every run that the canary leaves. Name another version."
            )));
        }
        Ok(Pointers {
            canary: Some((number, weight)),
            ..before.clone()
        })
    }

    fn back(&self, agent: &str, before: &Pointers, living: &[i32]) -> Result<Pointers> {
        if self.channel == Channel::Canary {
            before.canary.ok_or_else(|| no_canary(agent))?;
            return Ok(Pointers {
                canary: None,
                ..before.clone()
            });
        }
        let mut after = before.clone();
        while let Some(number) = after.earlier.pop() {
            if living.contains(&number) {
                after.stable = number;
                after.canary = after.canary.filter(|(canary, _)| *canary != number);
                return Ok(after);
            }
        }
        Err(NO_PREVIOUS.because(format!(
            "Nothing was stable before version {} of `{agent}`: promote the version you want.",
            before.stable
        )))
    }
}

/// The pointers once `number` is stable.
fn onto(number: i32, before: Option<Pointers>) -> Pointers {
    let Some(mut after) = before else {
        return Pointers {
            stable: number,
            ..Pointers::default()
        };
    };
    if after.stable != number {
        after.earlier.push(after.stable);
        let beyond = after.earlier.len().saturating_sub(EARLIER_MAX);
        after.earlier.drain(..beyond);
    }
    after.stable = number;
    after.canary = after.canary.filter(|(canary, _)| *canary != number);
    after
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
