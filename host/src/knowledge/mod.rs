//! What an organization curates and its agents search and cite: entries, their chunks, the search over them.
//! PostgreSQL holds the truth; a node's index is rebuildable at any time. Asked by HTTP, by guests and by `dev`.

pub mod config;
pub mod entries;
pub mod guest;
pub mod http;
pub mod ingest;
pub mod search;

mod chunks;
mod index;
mod jobs;
mod passage;
mod store;

use std::sync::Arc;

use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::id;
use crate::kit::http::Cursors;
use crate::kit::{Base, Clock, Ids, Tasks};

pub use config::Config;
pub use entries::{Entry, EntryWithContent, ListQuery, NewEntry, Put};
pub use search::{Hit, Query, Snippet};

id!(
    EntryId,
    "entry_",
    "An entry of an organization's knowledge."
);
id!(ChunkId, "chunk_", "A passage of an entry.");

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Knowledge {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    tasks: Tasks,
    config: Arc<Config>,
    indexes: index::Indexes,
    searching: Arc<Semaphore>,
    cutting: Arc<Semaphore>,
}

impl Knowledge {
    pub fn new(base: &Base, config: Config) -> Self {
        let Base {
            db,
            clock,
            ids,
            cursors,
            tasks,
            ..
        } = base.clone();
        let config = Arc::new(config);
        Self {
            indexes: index::Indexes::new(db.clone(), tasks.clone(), Arc::clone(&config)),
            searching: Arc::new(Semaphore::new(config.searches_at_once)),
            cutting: Arc::new(Semaphore::new(config.cuts_at_once)),
            db,
            clock,
            ids,
            cursors,
            tasks,
            config,
        }
    }
}
