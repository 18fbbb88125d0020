//! Places for runs and the queue before them. What comes beyond both is refused at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::kit::{Code, Error, OrgId, Result};
use crate::runs::Config;

pub const QUEUE_FULL: Code = Code::new("queue_full", 429, "Too many runs are waiting");

/// Places for runs: of the host, and of each organization, so that one's backlog does not delay another's.
#[derive(Debug)]
pub struct Admission {
    host: Arc<Semaphore>,
    orgs: Mutex<HashMap<OrgId, Weak<Semaphore>>>,
    per_org: usize,
    waiting: Arc<AtomicU32>,
    waiting_max: u32,
}

/// A place of the host and of the organization; given back when dropped.
#[derive(Debug)]
pub struct Place {
    _org: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

/// Either a place, or a seat in the queue.
#[derive(Debug)]
pub enum Admitted {
    Now(Place),
    Later(Queued),
}

/// A seat in the queue; given back when dropped.
#[derive(Debug)]
pub struct Queued {
    host: Arc<Semaphore>,
    org: Arc<Semaphore>,
    waiting: Arc<AtomicU32>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queued {
    /// Waits for a place: first the organization's, then the host's.
    pub async fn place(&self) -> Result<Place> {
        let closed = || Error::unavailable("The host is stopping.");
        let org = Arc::clone(&self.org)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let host = Arc::clone(&self.host)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        Ok(Place {
            _org: org,
            _host: host,
        })
    }
}

impl Admission {
    pub fn new(config: &Config) -> Self {
        Self {
            host: Arc::new(Semaphore::new(config.concurrent as usize)),
            orgs: Mutex::default(),
            per_org: config.concurrent_per_org as usize,
            waiting: Arc::default(),
            waiting_max: config.queued,
        }
    }

    pub(super) fn admit(&self, org: OrgId) -> Result<Admitted> {
        let org = self.org(org);
        if let Ok(org_place) = Arc::clone(&org).try_acquire_owned()
            && let Ok(host_place) = Arc::clone(&self.host).try_acquire_owned()
        {
            return Ok(Admitted::Now(Place {
                _org: org_place,
                _host: host_place,
            }));
        }
        let seat = Queued {
            host: Arc::clone(&self.host),
            org,
            waiting: Arc::clone(&self.waiting),
        };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.waiting_max {
            return Err(QUEUE_FULL
                .because("Every place is taken and the queue is full; try again.")
                .retry_after(Duration::from_secs(1)));
        }
        Ok(Admitted::Later(seat))
    }

    fn org(&self, org: OrgId) -> Arc<Semaphore> {
        let mut orgs = self.orgs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = orgs.get(&org).and_then(Weak::upgrade) {
            return places;
        }
        orgs.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.per_org));
        orgs.insert(org, Arc::downgrade(&places));
        places
    }
}
