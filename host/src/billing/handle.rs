//! The room's handle: what it depends on, made once by the assembly.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sqlx::PgPool;

use super::charge::{self, Provider};
use super::prices::Prices;
use super::tiers::Plan;
use super::{Config, caps};
use crate::kit::commit::Writer;
use crate::kit::egress::Egress;
use crate::kit::http::Cursors;
use crate::kit::{Base, Clock, Ids, OrgId, Result, Tasks};

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Billing {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) db: PgPool,
    pub(super) clock: Clock,
    pub(super) ids: Ids,
    pub(super) tasks: Tasks,
    pub(super) prices: Prices,
    pub(super) config: Config,
    /// What another node was told is seen within half a second.
    pub(super) plans: Cache<OrgId, Arc<Plan>>,
    pub(super) claims: Writer<caps::Claim>,
    pub(super) cursors: Cursors,
    pub(super) provider: Arc<dyn Provider>,
}

impl Billing {
    /// The database must be migrated. Refuses a configuration that cannot be used, by its key.
    pub fn new(base: &Base, egress: Egress, config: Config) -> Result<Self, String> {
        let prices = Prices::read(&config)?;
        let provider = charge::provider(&config, egress)?;
        let Base {
            db,
            clock,
            ids,
            tasks,
            cursors,
            ..
        } = base.clone();
        let claims = caps::writer(&db, &tasks, &ids);
        let plans = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(Duration::from_millis(500));
        Ok(Self {
            inner: Arc::new(Inner {
                db,
                clock,
                ids,
                tasks,
                prices,
                config,
                plans: plans.build(),
                claims,
                cursors,
                provider,
            }),
        })
    }

    /// What generations and runs cost, and in which currency.
    pub fn prices(&self) -> &Prices {
        &self.inner.prices
    }

    pub fn currency(&self) -> &str {
        &self.inner.config.currency
    }
}
