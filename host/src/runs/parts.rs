//! What the room is made from, and its limits.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};

use super::nodes::announce::Announce;
use super::nodes::presence::Presence;
use super::{Inner, NodeId, Runs, imports, log, start};
use crate::agents::Agents;
use crate::billing::Billing;
use crate::conversations::Conversations;
use crate::guardrails::{Checker, Guardrails};
use crate::kit::Base;
use crate::kit::commit::{Shape, Writer};
use crate::knowledge::Knowledge;
use crate::limits::Limits;
use crate::models::Models;
use crate::sandbox::{Sandbox, Scheduler};

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Runs at one time on this host, and of one organization that was given no other limit; what comes beyond is
    /// queued.
    pub concurrent: u32,
    pub concurrent_per_org: u32,
    /// Runs that may wait; what comes beyond is refused with 429.
    pub queued: u32,
    /// How many of them may be one organization's.
    pub queued_per_org: u32,
    /// The longest a run may take, and what it may take where nobody asked for less.
    pub wall_ms: u64,
    /// Bytes of the input's messages together.
    pub input_bytes: usize,
    /// What a run is given of its conversation: the newest messages, so many and so many bytes at most.
    pub conversation_messages: usize,
    pub conversation_bytes: usize,
    /// How long a cancel waits for the run to be gone before it answers.
    pub cancel_wait_ms: u64,
    /// A stop whose guest is still there after this long is the host's fault: it drains.
    pub stop_effective_ms: u64,
    /// A guest that sleeps for this long or longer leaves memory; its journal brings it back.
    pub suspend_after_ms: u64,
    /// A node is dead when its heartbeat is this old.
    pub dead_after_ms: u64,
    /// Hosts a run may see die; one more, and it is not resumed again.
    pub deaths_max: i32,
    /// The longest a replay may take.
    pub replay_wall_ms: u64,
    /// The most runs that one request replays, how many at one time on this host, whoever asks, and the longest it may take.
    pub replays_last: u32,
    pub replays_at_once: u32,
    pub replays_wall_ms: u64,
    /// Whether nodes tell each other at once what the polls find within half a second.
    pub notifications: bool,
    /// Writers of the group commit, changes in a batch, changes that may queue for each, and bytes for all.
    pub commit_lanes: usize,
    pub commit_batch: usize,
    pub commit_queue: usize,
    pub commit_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrent: 4_000,
            concurrent_per_org: 2_000,
            queued: 10_000,
            queued_per_org: 5_000,
            wall_ms: 600_000,
            input_bytes: 1 << 20,
            conversation_messages: 100,
            conversation_bytes: 256 << 10,
            cancel_wait_ms: 2_000,
            stop_effective_ms: 250,
            suspend_after_ms: 10_000,
            dead_after_ms: 15_000,
            deaths_max: 5,
            replay_wall_ms: 60_000,
            replays_last: 200,
            replays_at_once: 4,
            replays_wall_ms: 100_000,
            notifications: true,
            commit_lanes: 2,
            commit_batch: 512,
            commit_queue: 4_096,
            commit_bytes: 64 << 20,
        }
    }
}

/// What the room is made from.
pub struct Parts {
    pub base: Base,
    pub limits: Limits,
    pub billing: Billing,
    pub agents: Agents,
    pub conversations: Conversations,
    pub models: Models,
    pub knowledge: Knowledge,
    pub guardrails: Guardrails,
    pub checker: Checker,
    pub sandbox: Sandbox,
    pub scheduler: Scheduler,
    pub imports: imports::Imports,
    pub config: Config,
}

impl Runs {
    pub fn new(parts: Parts) -> Self {
        let config = parts.config;
        let Base {
            db,
            clock,
            ids,
            cursors,
            tasks,
            tracing,
        } = parts.base;
        let shape = Shape {
            lanes: config.commit_lanes,
            batch: config.commit_batch,
            queue: config.commit_queue,
            bytes: config.commit_bytes,
        };
        let writer = Writer::start(log::Writes, &db, &tasks, shape);
        let (node, live): (NodeId, _) = (ids.next(), log::Registry::default());
        let ways = (db.clone(), tasks.clone());
        let announce = Announce::new(node, ways, live.clone(), config.notifications);
        Self {
            inner: Arc::new(Inner {
                node,
                db,
                clock,
                ids,
                cursors,
                tasks,
                tracing,
                limits: parts.limits,
                billing: parts.billing,
                agents: parts.agents,
                conversations: parts.conversations.clone(),
                capabilities: imports::Capabilities {
                    models: parts.models,
                    knowledge: parts.knowledge,
                    conversations: parts.conversations,
                    guardrails: parts.guardrails,
                    checker: parts.checker,
                    suspend_after: Duration::from_millis(config.suspend_after_ms),
                },
                sandbox: parts.sandbox,
                scheduler: parts.scheduler,
                imports: parts.imports,
                writer,
                live,
                announce,
                presence: Presence::default(),
                admission: start::Admission::new(&config),
                replays: Semaphore::new(config.replays_at_once.max(1) as usize),
                config,
                escalated: watch::Sender::new(false),
            }),
        }
    }
}

impl Runs {
    /// This host among the hosts of its database.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// The runs of this node that have not ended.
    pub fn registry(&self) -> log::Registry {
        self.inner.live.clone()
    }
}
