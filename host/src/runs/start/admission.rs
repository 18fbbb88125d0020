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
    orgs: Mutex<HashMap<OrgId, Weak<Org>>>,
    per_org: usize,
    waiting: Arc<AtomicU32>,
    waiting_max: u32,
    waiting_max_per_org: u32,
}

/// One organization's part of the host, while it has runs.
#[derive(Debug)]
struct Org {
    places: Arc<Semaphore>,
    size: Mutex<Size>,
    waiting: AtomicU32,
}

/// How many places an organization has, and how many it is to have.
#[derive(Debug)]
struct Size {
    is: usize,
    wanted: usize,
}

impl Org {
    /// More places are there at once; fewer, as they are given back.
    fn resize(&self, wanted: usize) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        size.wanted = wanted;
        if size.is < wanted {
            self.places.add_permits(wanted - size.is);
            size.is = wanted;
        } else {
            size.is -= self.places.forget_permits(size.is - wanted);
        }
    }

    fn give_back(&self, place: OwnedSemaphorePermit) {
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.is > size.wanted {
            size.is -= 1;
            place.forget();
        }
    }
}

/// A place of the host and of the organization; given back when dropped.
#[derive(Debug)]
pub struct Place {
    account: Arc<Org>,
    org: Option<OwnedSemaphorePermit>,
    _host: OwnedSemaphorePermit,
}

impl Place {
    fn new(account: &Arc<Org>, org: OwnedSemaphorePermit, host: OwnedSemaphorePermit) -> Self {
        Self {
            account: Arc::clone(account),
            org: Some(org),
            _host: host,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(place) = self.org.take() {
            self.account.give_back(place);
        }
    }
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
    org: Arc<Org>,
    waiting: Arc<AtomicU32>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.org.waiting.fetch_sub(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queued {
    /// Waits for a place: first the organization's, then the host's.
    pub async fn place(&self) -> Result<Place> {
        let closed = || Error::unavailable("The host is stopping.");
        let org = Arc::clone(&self.org.places)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let host = Arc::clone(&self.host)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        Ok(Place::new(&self.org, org, host))
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
            waiting_max_per_org: config.queued_per_org,
        }
    }

    /// Places of the host that nobody has.
    pub fn free(&self) -> usize {
        self.host.available_permits()
    }

    /// A seat for a run that was accepted before: on another node, or in an earlier life.
    pub(in crate::runs) fn seat(&self, org: OrgId) -> Queued {
        let org = self.org(org);
        org.waiting.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Queued {
            host: Arc::clone(&self.host),
            org,
            waiting: Arc::clone(&self.waiting),
        }
    }

    /// A place or a seat for a run of an organization that may have so many at one time.
    pub(in crate::runs) fn admit(&self, org: OrgId, places: u64) -> Result<Admitted> {
        let org = self.org(org);
        org.resize(
            usize::try_from(places).map_or(Semaphore::MAX_PERMITS, |places| {
                places.min(Semaphore::MAX_PERMITS)
            }),
        );
        if let Ok(org_place) = Arc::clone(&org.places).try_acquire_owned()
            && let Ok(host_place) = Arc::clone(&self.host).try_acquire_owned()
        {
            return Ok(Admitted::Now(Place::new(&org, org_place, host_place)));
        }
        let seat = Queued {
            host: Arc::clone(&self.host),
            org,
            waiting: Arc::clone(&self.waiting),
        };
        // Both are counted before either is judged: dropping the seat takes both back.
        let of_org = seat.org.waiting.fetch_add(1, Ordering::Relaxed);
        let of_all = self.waiting.fetch_add(1, Ordering::Relaxed);
        if of_all >= self.waiting_max || of_org >= self.waiting_max_per_org {
            return Err(QUEUE_FULL
                .because("Every place is taken and the queue is full; try again.")
                .retry_after(Duration::from_secs(1)));
        }
        Ok(Admitted::Later(seat))
    }

    fn org(&self, org: OrgId) -> Arc<Org> {
        let mut orgs = self.orgs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = orgs.get(&org).and_then(Weak::upgrade) {
            return known;
        }
        orgs.retain(|_, known| known.strong_count() > 0);
        let account = Arc::new(Org {
            places: Arc::new(Semaphore::new(self.per_org)),
            size: Mutex::new(Size {
                is: self.per_org,
                wanted: self.per_org,
            }),
            waiting: AtomicU32::new(0),
        });
        orgs.insert(org, Arc::downgrade(&account));
        account
    }
}
