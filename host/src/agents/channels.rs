//! Channels: the pointers new runs follow. Moving one is one statement; every node sees it within a second, this one
//! at once.

use std::time::Duration;

use moka::future::Cache;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Agent, AgentId, Agents, Digest, store};
use crate::identity::Caller;
use crate::kit::{Code, Error, OrgId, Result};
use crate::ledger::audit::{Action, Target, record};
use crate::ledger::outbox::{Notice, Topic, announce};

pub const NO_STABLE: Code = Code::new(
    "no_stable_version",
    409,
    "The agent has no stable version yet",
);

/// The channel every agent has.
pub const STABLE: &str = "stable";

/// What a run asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    org: OrgId,
    agent: String,
    version: Option<i32>,
}

/// What a run gets.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub agent: AgentId,
    pub name: String,
    pub version: i32,
    pub digest: Digest,
    /// The channel it came by; none where the version was named.
    pub channel: Option<&'static str>,
    /// The model alias the version's manifest names.
    pub model: String,
}

/// Where to point a channel.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveChannel {
    /// A number of the agent's versions.
    pub version: i32,
}

pub(super) fn cache() -> Cache<Wanted, Resolved> {
    Cache::builder()
        .max_capacity(10_000)
        .time_to_live(Duration::from_millis(500))
        .build()
}

impl Agents {
    /// The version a run takes: the one named, else the stable one.
    pub async fn resolve(
        &self,
        caller: &Caller,
        agent: &str,
        version: Option<i32>,
    ) -> Result<Resolved> {
        let wanted = Wanted {
            org: caller.org,
            agent: agent.to_owned(),
            version,
        };
        if let Some(resolved) = self.resolved.get(&wanted).await {
            return Ok(resolved);
        }
        let resolved = match version {
            Some(number) => store::resolve_version(&self.db, caller.org, agent, number)
                .await?
                .ok_or_else(|| Error::not_found("agent or version"))?,
            None => self.resolve_stable(caller, agent).await?,
        };
        self.resolved.insert(wanted, resolved.clone()).await;
        Ok(resolved)
    }

    async fn resolve_stable(&self, caller: &Caller, agent: &str) -> Result<Resolved> {
        if let Some(resolved) = store::resolve_channel(&self.db, caller.org, agent, STABLE).await? {
            return Ok(Resolved {
                channel: Some(STABLE),
                ..resolved
            });
        }
        self.get(caller, agent).await?;
        Err(NO_STABLE.because(format!(
            "Make a version of `{agent}` stable first: PUT …/agents/{agent}/channels/stable {{\"version\": 1}}."
        )))
    }

    /// Points the stable channel at a version.
    pub async fn make_stable(
        &self,
        caller: &Caller,
        name: &str,
        to: &MoveChannel,
    ) -> Result<Agent> {
        let agent = self.get(caller, name).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let moved = (STABLE, to.version);
        store::move_channel(&mut *tx, (caller.org, agent.id), moved, now).await?;
        let told = json!({
            "agent": agent.name,
            "channel": STABLE,
            "version": to.version,
            "previous": agent.stable,
        });
        let topic = Topic::ChannelPromoted;
        let notice = Notice::new(self.ids.next(), caller.org, topic, now, &told);
        announce(&mut tx, [&notice]).await?;
        let target = Target::new("agent_channel", format!("{}/{STABLE}", agent.name));
        let did = caller.did(Action::AgentChannelPromoted, target);
        let did = did.at(now).changed(["version"]);
        let detail = json!({ "version": to.version, "previous": agent.stable });
        record(&mut tx, &[did.detail(&detail)]).await?;
        tx.commit().await?;
        self.resolved.invalidate_all();
        tracing::info!(org = %caller.slug, agent = name, version = to.version, "stable channel moved");
        Ok(Agent {
            stable: Some(to.version),
            ..agent
        })
    }
}
