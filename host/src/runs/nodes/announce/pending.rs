//! Ids that wait to be dealt with together, each once however often it was put: what makes a burst one statement.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A set that one task empties. Bounded by what there is to name: the runs of a node, the watches of a node.
#[derive(Debug)]
pub struct Pending<T> {
    waiting: Mutex<HashSet<T>>,
    filled: Notify,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }
}

impl<T: Eq + Hash> Pending<T> {
    pub fn put(&self, item: T) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(item);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Everything that waits; waits itself while nothing does. For one task at a time.
    pub(super) async fn take(&self) -> Vec<T> {
        loop {
            let taken = self.empty();
            if !taken.is_empty() {
                return taken.into_iter().collect();
            }
            self.filled.notified().await;
        }
    }

    fn empty(&self) -> HashSet<T> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
