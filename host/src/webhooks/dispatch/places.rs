//! Places: how many endpoints this node sends to at one time. Those that took their last delivery, those that were
//! never tried and those that failed have places of their own, and who is slow moves out of them: so however many
//! receivers are broken, one that works finds a place.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::webhooks::Config;

/// An endpoint's lane, as its row has it: 0 works, 1 is new, 2 fails.
pub(super) const LANES: usize = 3;

#[derive(Clone, Debug)]
pub(in crate::webhooks) struct Places {
    lanes: [Arc<Semaphore>; LANES],
    slow: Arc<Semaphore>,
}

/// A place held by one endpoint.
#[derive(Debug)]
pub(super) struct Place {
    held: OwnedSemaphorePermit,
    is_slow: bool,
    slow: Arc<Semaphore>,
}

impl Places {
    pub(in crate::webhooks) fn new(config: &Config) -> Self {
        let places = |n: usize| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
        Self {
            lanes: [
                places(config.places),
                places(config.places_new),
                places(config.places_failing),
            ],
            slow: places(config.places_slow),
        }
    }

    /// How many are free in each lane.
    pub(super) fn free(&self) -> [i64; LANES] {
        let free = |lane: &Arc<Semaphore>| i64::try_from(lane.available_permits()).unwrap_or(0);
        [
            free(&self.lanes[0]),
            free(&self.lanes[1]),
            free(&self.lanes[2]),
        ]
    }

    /// None where the lane is full by now.
    pub(super) fn take(&self, lane: usize) -> Option<Place> {
        let lane = self.lanes.get(lane)?;
        Some(Place {
            held: Arc::clone(lane).try_acquire_owned().ok()?,
            is_slow: false,
            slow: Arc::clone(&self.slow),
        })
    }
}

impl Place {
    /// Whoever takes long makes room, as long as there is room for the slow.
    pub(super) fn make_room(&mut self) {
        if !self.is_slow
            && let Ok(held) = Arc::clone(&self.slow).try_acquire_owned()
        {
            self.held = held;
            self.is_slow = true;
        }
    }
}
