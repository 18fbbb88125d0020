//! Agents and their immutable versions: uploaded, inspected, compiled, described, stored by digest; channels point at
//! them. Called by its routes and by runs, which resolve a version and load its component.

pub mod channels;
pub mod describe;
pub mod http;
pub mod kept;
pub mod load;
pub mod manifest;
mod parts;
pub mod settings;
pub mod signed;
mod store;
pub mod upload;
pub mod versions;

use std::path::PathBuf;
use std::sync::Arc;

use moka::future::Cache;
use sqlx::PgPool;
use wasmtime::component::Component;

use crate::guardrails::Guardrails;
use crate::id;
use crate::kit::http::Cursors;
use crate::kit::{Clock, Ids, OrgId, Tasks};
use crate::limits::Limits;
use crate::sandbox::compile::{Artifacts, Places};
use crate::sandbox::{Sandbox, Scheduler};

pub use channels::Resolved;
pub use manifest::Manifest;
pub use parts::{Config, Parts};
pub use settings::Settings;
pub use store::{configured, declared};
pub use versions::{Agent, Version};

id!(AgentId, "agent_", "An agent of an organization.");

/// SHA-256 of a component's bytes.
pub type Digest = [u8; 32];

/// Whether a component fits the host's world; the answer says what does not.
pub type Fits = Arc<dyn Fn(&Component) -> Result<(), String> + Send + Sync>;

/// The room's handle.
#[derive(Clone)]
pub struct Agents {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    tasks: Tasks,
    limits: Limits,
    guardrails: Guardrails,
    sandbox: Sandbox,
    scheduler: Scheduler,
    artifacts: Artifacts,
    fits: Fits,
    /// The program whose `compile-component` compiles.
    program: PathBuf,
    config: Arc<Config>,
    /// Who inspects bytes, and who has a compile child.
    inspections: Places,
    children: Places,
    resolved: Cache<channels::Wanted, Resolved>,
    pointed: Cache<(OrgId, String), Arc<channels::Pointed>>,
}

impl std::fmt::Debug for Agents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Agents")
    }
}
