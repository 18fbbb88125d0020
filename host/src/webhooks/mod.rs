//! Webhooks: endpoints of an organization are told what happens in it. What is announced stands in the outbox; here it
//! becomes deliveries, which are sent, signed, and tried again until they are taken or given up. Invariant: an
//! endpoint is a queue of its own, so a receiver that is broken delays nobody else.

pub mod config;
pub mod deliveries;
mod dispatch;
pub mod endpoints;
pub mod http;
mod jobs;
pub mod schedule;
pub mod sign;

use std::sync::Arc;

use sqlx::PgPool;

use crate::id;
use crate::kit::commit::{Shape, Writer};
use crate::kit::egress::Guarded;
use crate::kit::http::Cursors;
use crate::kit::secret::Seal;
use crate::kit::{Base, Clock, Ids, Tasks};

pub use config::Config;

id!(EndpointId, "we_", "A webhook endpoint.");

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Webhooks {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    tasks: Tasks,
    seal: Seal,
    egress: Guarded,
    config: Arc<Config>,
    places: dispatch::Places,
    writer: Writer<dispatch::Attempt>,
}

impl Webhooks {
    pub fn new(base: &Base, seal: Seal, egress: Guarded, config: Config) -> Self {
        let Base {
            db,
            clock,
            ids,
            cursors,
            tasks,
            ..
        } = base.clone();
        let shape = Shape {
            lanes: 1,
            batch: config.commit_batch,
            queue: config.commit_batch * 8,
            bytes: 64 << 20,
        };
        let recorded = dispatch::Recorded::new(ids.clone(), config.disable_after());
        Self {
            writer: Writer::start(recorded, &db, &tasks, shape),
            places: dispatch::Places::new(&config),
            db,
            clock,
            ids,
            cursors,
            tasks,
            seal,
            egress,
            config: Arc::new(config),
        }
    }
}
