//! Who replays many runs on this host: one request of an organization at a time, and a few runs of all of them together.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::kit::{Error, OrgId, Result};
use crate::runs::replay::REPLAYS_BUSY;

type Orgs = Arc<Mutex<HashSet<OrgId>>>;

/// The turns of a host.
#[derive(Debug)]
pub(in crate::runs) struct Turns {
    runs: Semaphore,
    asking: Orgs,
}

/// A request of an organization; over when dropped.
#[derive(Debug)]
pub(super) struct Asking {
    org: OrgId,
    all: Orgs,
}

impl Turns {
    pub(in crate::runs) fn new(at_once: u32) -> Self {
        Self {
            runs: Semaphore::new(at_once.max(1) as usize),
            asking: Orgs::default(),
        }
    }

    pub(super) fn ask(&self, org: OrgId) -> Result<Asking> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if !asking.insert(org) {
            return Err(REPLAYS_BUSY.because(
                "Another request replays runs of the organization on this host: wait for its answer, or close its connection, and ask again.",
            ));
        }
        Ok(Asking {
            org,
            all: Arc::clone(&self.asking),
        })
    }

    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.runs.acquire().await.map_err(Error::internal)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.org);
    }
}
