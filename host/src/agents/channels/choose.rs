//! Which version a run takes: the one that is named, a channel's, or one of the two by chance, in which a conversation, or
//! a run of none, always draws the same lot. What other nodes moved is seen within a quarter of a second.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wasmtime::component::Component;

use super::{Channel, NO_CANARY, NO_STABLE, store};
use crate::agents::{AgentId, Agents, Digest, Settings};
use crate::guardrails::Rules;
use crate::identity::Caller;
use crate::kit::{Error, OrgId, Result};

/// What a run asks for.
#[derive(Clone, Copy, Debug)]
pub enum By {
    Version(i32),
    Channel(Channel),
    /// The canary's share of all ids, and stable's.
    Lot(Uuid),
}

/// A version of an agent of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::agents) struct Wanted {
    org: OrgId,
    agent: String,
    version: i32,
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
    /// It is a guardrail component: what judges runs, not what runs.
    pub is_guardrail: bool,
    /// It only offers tools.
    pub is_provider: bool,
    /// What the version declares of guardrails.
    pub guardrails: Arc<Rules>,
    /// Its configuration.
    pub settings: Arc<Settings>,
    /// It was deleted: runs that named it may be read, and no further one begins.
    pub is_deleted: bool,
}

/// What an agent's channels point at.
#[derive(Clone, Debug)]
pub(in crate::agents) struct Pointed {
    pub(super) stable: Resolved,
    pub(super) canary: Option<(Resolved, f64)>,
}

const CACHED_FOR: Duration = Duration::from_millis(250);
const CACHED_MAX: u64 = 10_000;

pub(in crate::agents) fn cache() -> Cache<Wanted, Resolved> {
    Cache::builder()
        .max_capacity(CACHED_MAX)
        .time_to_live(CACHED_FOR)
        .build()
}

pub(in crate::agents) fn pointers() -> Cache<(OrgId, String), Arc<Pointed>> {
    Cache::builder()
        .max_capacity(CACHED_MAX)
        .time_to_live(CACHED_FOR)
        .build()
}

impl Agents {
    /// The version a run takes.
    pub async fn resolve(&self, caller: &Caller, agent: &str, by: By) -> Result<Resolved> {
        let number = match by {
            By::Version(number) => number,
            By::Channel(channel) => return self.pointed(caller, agent).await?.at(channel, agent),
            By::Lot(id) => return Ok(self.pointed(caller, agent).await?.lot(id)),
        };
        let wanted = Wanted {
            org: caller.org,
            agent: agent.to_owned(),
            version: number,
        };
        if let Some(resolved) = self.resolved.get(&wanted).await {
            return Ok(resolved);
        }
        let resolved = store::resolve_version(&self.db, caller.org, agent, number)
            .await?
            .ok_or_else(|| Error::not_found("agent or version"))?;
        self.resolved.insert(wanted, resolved.clone()).await;
        Ok(resolved)
    }

    async fn pointed(&self, caller: &Caller, agent: &str) -> Result<Arc<Pointed>> {
        let which = (caller.org, agent.to_owned());
        if let Some(pointed) = self.pointed.get(&which).await {
            return Ok(pointed);
        }
        let Some(pointed) = store::resolve_channels(&self.db, caller.org, agent).await? else {
            self.get(caller, agent).await?;
            return Err(no_stable(agent));
        };
        let pointed = Arc::new(pointed);
        self.pointed.insert(which, Arc::clone(&pointed)).await;
        Ok(pointed)
    }

    /// The stable version of a guardrail component, for who judges with it.
    pub async fn guardrail(&self, org: OrgId, name: &str) -> Result<(Digest, Component)> {
        let found = store::resolve_channels(&self.db, org, name).await?;
        let found = found.map(|pointed| pointed.stable);
        let found = found.filter(|found| found.is_guardrail);
        let found = found.ok_or_else(|| Error::not_found("guardrail component"))?;
        Ok((found.digest, self.load(found.digest).await?))
    }
}

impl Pointed {
    fn at(&self, channel: Channel, agent: &str) -> Result<Resolved> {
        let canary = self.canary.as_ref().map(|(canary, _)| canary);
        match channel {
            Channel::Stable => Ok(self.stable.clone()),
            Channel::Canary => canary.cloned().ok_or_else(|| no_canary(agent)),
        }
    }

    fn lot(&self, id: Uuid) -> Resolved {
        match &self.canary {
            Some((canary, weight)) if lot(canary.agent, id) < *weight => canary.clone(),
            _ => self.stable.clone(),
        }
    }
}

pub(super) fn no_stable(agent: &str) -> Error {
    NO_STABLE.because(format!(
        "Make a version of `{agent}` stable first: POST …/agents/{agent}/promote {{\"version\": 1}}."
    ))
}

pub(super) fn no_canary(agent: &str) -> Error {
    NO_CANARY.because(format!(
        "Make a version of `{agent}` the canary first: POST …/agents/{agent}/canary {{\"version\": 2, \"weight\": 0.1}}."
    ))
}

/// What an id draws: 52 bits of a digest as a part of one, so that a larger share keeps who a smaller one had.
/// `conversations::pins` draws the same in SQL.
fn lot(agent: AgentId, id: Uuid) -> f64 {
    let digest = Sha256::digest([*agent.0.as_bytes(), *id.as_bytes()].concat());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let bits = u64::from_be_bytes(first) >> 12;
    bits as f64 / (1_u64 << 52) as f64
}
