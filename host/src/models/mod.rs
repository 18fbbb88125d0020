//! Model connections and generations: an alias becomes a connection of the organization, the host holds its key and
//! streams its answer. Guests come through `guest.rs`, people through `http.rs`. Invariant: a key leaves this
//! room only as a header to the connection it belongs to.

pub mod chat;
mod clean;
pub mod config;
pub mod connections;
mod convert;
pub mod generate;
pub mod guest;
pub mod http;
mod offline;
mod openai;
mod recorded;
pub mod resolve;
mod store;

use sqlx::PgPool;

use crate::id;
use crate::kit::egress::Egress;
use crate::kit::http::Cursors;
use crate::kit::secret::Seal;
use crate::kit::{Base, Clock, Ids, Tasks};

pub use chat::{Chunk, Finish, FinishReason, GenerateError, Request};
pub use config::Config;
pub use connections::{Connection, Kind, PutConnection};
pub use generate::Stream;
pub use resolve::Resolved;

id!(ConnectionId, "mc_", "A model connection.");

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Models {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    seal: Seal,
    tasks: Tasks,
    openai: openai::OpenAi,
    config: Config,
}

impl Models {
    pub fn new(base: &Base, seal: Seal, egress: Egress, config: Config) -> Self {
        let Base {
            db,
            clock,
            ids,
            cursors,
            tasks,
            ..
        } = base.clone();
        let random = ids.random().clone();
        Self {
            openai: openai::OpenAi::new(egress, clock.clone(), random, config.clone()),
            db,
            clock,
            ids,
            cursors,
            seal,
            tasks,
            config,
        }
    }
}
