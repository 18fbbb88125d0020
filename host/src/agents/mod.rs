//! Agents and their immutable versions: uploaded, inspected, compiled, described, stored by digest; channels point at
//! them. Called by its routes and by runs, which resolve a version and load its component.

pub mod channels;
pub mod describe;
pub mod http;
pub mod load;
pub mod manifest;
mod store;
pub mod upload;
pub mod versions;

use std::path::PathBuf;
use std::sync::Arc;

use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use wasmtime::component::Component;

use crate::id;
use crate::kit::http::page::Cursors;
use crate::kit::{Clock, Ids, Tasks};
use crate::sandbox::compile::Artifacts;
use crate::sandbox::{Sandbox, Scheduler};

pub use channels::Resolved;
pub use manifest::Manifest;
pub use versions::{Agent, Version};

id!(AgentId, "agent_", "An agent of an organization.");

/// SHA-256 of a component's bytes.
pub type Digest = [u8; 32];

/// Whether a component fits the host's world; the answer says what does not.
pub type Fits = Arc<dyn Fn(&Component) -> Result<(), String> + Send + Sync>;

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The largest component, in bytes; at most 64 MiB.
    pub component_bytes: usize,
    /// Fuel and time of `describe`.
    pub describe_fuel: u64,
    pub describe_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            component_bytes: 32 << 20,
            describe_fuel: 100_000_000,
            describe_ms: 2_000,
        }
    }
}

/// The room's handle.
#[derive(Clone)]
pub struct Agents {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    tasks: Tasks,
    sandbox: Sandbox,
    scheduler: Scheduler,
    artifacts: Artifacts,
    fits: Fits,
    /// The program whose `compile-component` compiles.
    program: PathBuf,
    config: Arc<Config>,
    /// Compile children at one time.
    children: Arc<Semaphore>,
    resolved: Cache<channels::Wanted, Resolved>,
}

/// What the room is made from.
pub struct Parts {
    pub db: PgPool,
    pub clock: Clock,
    pub ids: Ids,
    pub cursors: Cursors,
    pub tasks: Tasks,
    pub sandbox: Sandbox,
    pub scheduler: Scheduler,
    pub artifacts: Artifacts,
    pub fits: Fits,
    pub program: PathBuf,
    pub config: Config,
}

impl Agents {
    pub fn new(parts: Parts) -> Self {
        let children = parts.sandbox.config().compile.children.max(1);
        Self {
            db: parts.db,
            clock: parts.clock,
            ids: parts.ids,
            cursors: parts.cursors,
            tasks: parts.tasks,
            sandbox: parts.sandbox,
            scheduler: parts.scheduler,
            artifacts: parts.artifacts,
            fits: parts.fits,
            program: parts.program,
            config: Arc::new(parts.config),
            children: Arc::new(Semaphore::new(children)),
            resolved: channels::cache(),
        }
    }
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Agents")
    }
}
