//! Runs: one turn of one agent version, from the request to the terminal event. Owns admission, the journal, the log
//! and the end; the only room that knows every capability a guest is offered. Nothing but PostgreSQL is truth.

pub mod cancel;
pub mod execute;
pub mod finish;
pub mod guest;
pub mod http;
pub mod imports;
pub mod jobs;
pub mod journal;
pub mod log;
pub mod start;
mod store;
pub mod view;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::agents::Agents;
use crate::id;
use crate::kit::commit::Writer;
use crate::kit::http::page::Cursors;
use crate::kit::{Clock, Ids, Tasks};
use crate::knowledge::Knowledge;
use crate::models::Models;
use crate::sandbox::{Sandbox, Scheduler};

pub use start::NewRun;
pub use view::{Receipt, RunView, Usage};

id!(RunId, "run_", "A run.");
id!(NodeId, "node_", "A host that runs runs.");

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Runs at one time on this host, and of one organization; what comes beyond is queued.
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
    /// How long a cancel waits for the run to be gone before it answers.
    pub cancel_wait_ms: u64,
    /// A node is dead when its heartbeat is this old.
    pub dead_after_ms: u64,
    /// Writers of the group commit, changes in a batch, changes that may queue for each.
    pub commit_lanes: usize,
    pub commit_batch: usize,
    pub commit_queue: usize,
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
            cancel_wait_ms: 2_000,
            dead_after_ms: 15_000,
            commit_lanes: 2,
            commit_batch: 512,
            commit_queue: 4_096,
        }
    }
}

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Runs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: NodeId,
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    tasks: Tasks,
    agents: Agents,
    capabilities: imports::Capabilities,
    sandbox: Sandbox,
    scheduler: Scheduler,
    imports: imports::Imports,
    writer: Writer<log::Change>,
    live: log::Registry,
    admission: start::Admission,
    config: Config,
}

/// What the room is made from.
pub struct Parts {
    pub db: PgPool,
    pub clock: Clock,
    pub ids: Ids,
    pub cursors: Cursors,
    pub tasks: Tasks,
    pub agents: Agents,
    pub models: Models,
    pub knowledge: Knowledge,
    pub sandbox: Sandbox,
    pub scheduler: Scheduler,
    pub imports: imports::Imports,
    pub config: Config,
}

impl Runs {
    pub fn new(parts: Parts) -> Self {
        let config = parts.config;
        let shape = (
            config.commit_lanes,
            config.commit_batch,
            config.commit_queue,
        );
        let writer = Writer::start(log::Writes, &parts.db, &parts.tasks, shape);
        Self {
            inner: Arc::new(Inner {
                node: parts.ids.next(),
                db: parts.db,
                clock: parts.clock,
                ids: parts.ids,
                cursors: parts.cursors,
                tasks: parts.tasks,
                agents: parts.agents,
                capabilities: imports::Capabilities {
                    models: parts.models,
                    knowledge: parts.knowledge,
                },
                sandbox: parts.sandbox,
                scheduler: parts.scheduler,
                imports: parts.imports,
                writer,
                live: log::Registry::default(),
                admission: start::Admission::new(&config),
                config,
            }),
        }
    }

    /// This host among the hosts of its database.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// The runs of this node that have not ended.
    pub fn registry(&self) -> log::Registry {
        self.inner.live.clone()
    }
}
