//! Runs: one turn of one agent version, from the request to the terminal event. Owns admission, journal, log, lives and
//! end; the only room that knows every capability a guest is offered. Nothing but PostgreSQL is truth.

pub mod cancel;
pub mod guest;
pub mod http;
pub mod imports;
pub mod journal;
pub mod life;
pub mod log;
pub mod metrics;
pub mod nodes;
mod parts;
pub mod receipt;
pub mod replay;
pub mod start;
mod store;
pub mod view;

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::{Semaphore, watch};

use crate::agents::Agents;
use crate::billing::Billing;
use crate::conversations::Conversations;
use crate::id;
use crate::kit::commit::Writer;
use crate::kit::http::Cursors;
use crate::kit::{Clock, Ids, Tasks, Tracing};
use crate::limits::Limits;
use crate::sandbox::{Sandbox, Scheduler};

pub use parts::{Config, Parts};
pub use receipt::{Receipt, Usage};
pub use start::NewRun;
pub use view::{RunView, Turn};

id!(RunId, "run_", "A run.");
id!(NodeId, "node_", "A host that runs runs.");

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
    tracing: Tracing,
    limits: Limits,
    billing: Billing,
    agents: Agents,
    conversations: Conversations,
    capabilities: imports::Capabilities,
    sandbox: Sandbox,
    scheduler: Scheduler,
    imports: imports::Imports,
    writer: Writer<log::Change>,
    live: log::Registry,
    announce: nodes::announce::Announce,
    presence: nodes::presence::Presence,
    admission: start::Admission,
    /// Turns of those that replay many runs.
    replays: Semaphore,
    config: Config,
    /// No new runs, and none claimed.
    escalated: watch::Sender<bool>,
}
