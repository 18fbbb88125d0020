//! Limits: what an organization or a version was given, what binds a run when it starts and where each value came
//! from, and the sets that runs were started with. Called by its routes, by uploads and by runs.
//! Invariant: a run is bound by one set from its first instant to its last, on whichever hosts it lives.

mod config;
mod each;
mod effective;
pub mod http;
mod put;
mod store;

use std::sync::Arc;

use moka::future::Cache;
use sqlx::PgPool;

use crate::kit::Clock;

pub use config::Config;
pub use each::{Each, Kind, Level, LimitsGiven, kinds};
pub use effective::{Bound, Digest, Effective, Source};
pub use put::{LIMIT_REFUSED, Shown};

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Limits {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: PgPool,
    clock: Clock,
    /// What this host gives where nobody said otherwise, and the most it gives anybody.
    host: Arc<Effective>,
    most: Each<u64>,
    effective: Cache<effective::Of, Arc<Effective>>,
    /// Sets that are in the database, by their digest.
    interned: Cache<Digest, Arc<Effective>>,
}

impl Limits {
    /// The most this host gives anybody.
    pub fn most(&self) -> &Each<u64> {
        &self.inner.most
    }
}
