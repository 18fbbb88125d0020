//! What nodes tell each other: a run was cancelled, a run has news for its readers, runs are there to be taken. Ids
//! only, over LISTEN and NOTIFY; a message that is lost costs time and nothing else, because every one of them has a
//! poll behind it. Made with the room, begun by `listen` when the node joins.

mod listen;
mod pending;
mod store;
mod tell;
mod watches;

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Notify;

pub use pending::Pending;
pub use watches::Watch;

use crate::kit::{OrgId, Tasks};
use crate::runs::log::Registry;
use crate::runs::{NodeId, RunId};

/// This node's part in it. Cheap to clone; keeps no writer alive.
#[derive(Clone)]
pub struct Announce(Arc<Inner>);

struct Inner {
    node: NodeId,
    db: PgPool,
    tasks: Tasks,
    live: Registry,
    /// Whether anything is told and heard; the polls go on either way.
    on: bool,
    watches: watches::Watches,
    /// Runs that readers of this node began to watch.
    wanted: Pending<RunId>,
    /// Runs of this node that have news for readers elsewhere.
    news: Arc<Pending<RunId>>,
    /// Runs somebody asked to cancel on another node; without a name, any of them.
    cancels: Pending<Option<(OrgId, RunId)>>,
    released: Notify,
}

impl Announce {
    /// `on` false: nothing is told and nothing is heard.
    pub fn new(node: NodeId, (db, tasks): (PgPool, Tasks), live: Registry, on: bool) -> Self {
        Self(Arc::new(Inner {
            node,
            db,
            tasks,
            live,
            on,
            watches: watches::Watches::default(),
            wanted: Pending::default(),
            news: Arc::default(),
            cancels: Pending::default(),
            released: Notify::new(),
        }))
    }
}

impl Announce {
    /// Who tells, and whether it does: for statements that tell in their own transaction.
    pub fn teller(&self) -> (NodeId, bool) {
        (self.0.node, self.0.on)
    }
}

impl std::fmt::Debug for Announce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announce")
            .field("node", &self.0.node)
            .field("on", &self.0.on)
            .finish_non_exhaustive()
    }
}
