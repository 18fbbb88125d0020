//! Who calls: organizations, their API keys, and the `Caller` every method takes first. Asked by every route;
//! asks nobody. A key's secret is shown once and kept as SHA-256.

pub mod caller;
pub mod http;
pub mod keys;
pub mod organizations;
mod scope;
mod store;

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sqlx::PgPool;

use crate::id;
use crate::kit::http::Cursors;
use crate::kit::{Base, Clock, Ids};

pub use caller::{Admin, Caller, Deploy, Proven, Read, Run};
pub use keys::{Key, NewKey};
pub use scope::Scope;

id!(KeyId, "key_", "An API key.");

/// Another node's revocation is seen within this time; this node's at once.
const CACHED_FOR: Duration = Duration::from_secs(1);
const CACHED_MAX: u64 = 10_000;

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Identity {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    /// By the SHA-256 of the whole token, so that the cache holds no secret.
    callers: Cache<[u8; 32], Arc<keys::Known>>,
}

impl Identity {
    pub fn new(base: &Base) -> Self {
        let callers = Cache::builder()
            .max_capacity(CACHED_MAX)
            .time_to_live(CACHED_FOR)
            .build();
        Self {
            db: base.db.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            cursors: base.cursors.clone(),
            callers,
        }
    }
}
