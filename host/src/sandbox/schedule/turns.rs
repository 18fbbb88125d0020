//! Whose turn it is: deficit round robin in fuel over the tenants that have a slot ready, first come first served
//! within one. Called by slots, which push themselves when they can go on, and by the guest threads, which ask for
//! the next. Invariant: a tenant stands in `turns` once if it has a slot ready, else not at all.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

use super::sync::{Condvar, Mutex, MutexGuard};

/// Whoever takes turns: an organization.
pub type Tenant = u128;

/// The queues of all tenants, and where threads wait for them to fill.
pub(super) struct Turns<S> {
    queues: Mutex<Queues<S>>,
    work: Condvar,
    quantum: i64,
}

struct Queues<S> {
    tenants: HashMap<Tenant, Queue<S>>,
    /// Tenants with a slot that can go on, in the order of their turns.
    turns: VecDeque<Tenant>,
    closed: bool,
    alive: usize,
}

struct Queue<S> {
    ready: VecDeque<S>,
    /// Fuel the tenant may still use before others have theirs; negative is a debt.
    deficit: i64,
    /// Guests of the tenant that are alive; the last one takes the queue with it.
    alive: usize,
}

impl<S: PartialEq> Turns<S> {
    pub(super) fn new(quantum: u64) -> Self {
        Self {
            queues: Mutex::new(Queues {
                tenants: HashMap::new(),
                turns: VecDeque::new(),
                closed: false,
                alive: 0,
            }),
            work: Condvar::new(),
            quantum: i64::try_from(quantum).unwrap_or(i64::MAX).max(1),
        }
    }

    pub(super) fn alive(&self) -> usize {
        self.lock().alive
    }

    /// A guest of the tenant begins to live, and is ready.
    pub(super) fn admit(&self, tenant: Tenant, slot: S) {
        let mut queues = self.lock();
        queues.alive += 1;
        let queue = queues.tenants.entry(tenant).or_insert_with(|| Queue {
            ready: VecDeque::new(),
            deficit: 0,
            alive: 0,
        });
        queue.alive += 1;
        queues.push(tenant, slot);
        drop(queues);
        self.work.notify_one();
    }

    /// A slot can go on.
    pub(super) fn push(&self, tenant: Tenant, slot: S) {
        self.lock().push(tenant, slot);
        self.work.notify_one();
    }

    /// A slot that may be waiting for its turn does not want it any more.
    pub(super) fn withdraw(&self, tenant: Tenant, slot: &S) {
        let mut queues = self.lock();
        let Some(queue) = queues.tenants.get_mut(&tenant) else {
            return;
        };
        let Some(place) = queue.ready.iter().position(|other| other == slot) else {
            return;
        };
        let withdrawn = queue.ready.remove(place);
        if queue.ready.is_empty() {
            queues.turns.retain(|other| *other != tenant);
        }
        drop(queues);
        drop(withdrawn);
    }

    /// A guest of the tenant is gone.
    pub(super) fn leave(&self, tenant: Tenant) {
        let mut queues = self.lock();
        queues.alive -= 1;
        if let Some(queue) = queues.tenants.get_mut(&tenant) {
            queue.alive -= 1;
        }
        queues.forget_idle(tenant);
    }

    /// What a slice of the tenant used.
    pub(super) fn charge(&self, tenant: Tenant, used: u64) {
        let used = i64::try_from(used).unwrap_or(i64::MAX);
        if let Some(queue) = self.lock().tenants.get_mut(&tenant) {
            queue.deficit = queue.deficit.saturating_sub(used);
        }
    }

    /// The next slot whose turn it is; blocks while there is none, `None` when closed.
    pub(super) fn next(&self) -> Option<S> {
        let mut queues = self.lock();
        loop {
            if queues.closed {
                return None;
            }
            if let Some(slot) = queues.take_turn(self.quantum) {
                return Some(slot);
            }
            queues = self
                .work
                .wait(queues)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nobody has a turn from here on: whoever waits in `next` is told, and what is queued is let go.
    pub(super) fn close(&self) {
        let mut queues = self.lock();
        queues.closed = true;
        queues.turns.clear();
        let tenants = queues.tenants.values_mut();
        let ready: Vec<_> = tenants.map(|q| std::mem::take(&mut q.ready)).collect();
        queues.tenants.retain(|_, queue| queue.alive > 0);
        drop(queues);
        drop(ready);
        self.work.notify_all();
    }

    /// A panic cannot leave this bookkeeping half done.
    fn lock(&self) -> MutexGuard<'_, Queues<S>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Queues<S> {
    /// Where the tenant has nobody alive, the slot is one that was stopped a moment ago.
    fn push(&mut self, tenant: Tenant, slot: S) {
        if self.closed {
            return;
        }
        if let Some(queue) = self.tenants.get_mut(&tenant) {
            if queue.ready.is_empty() {
                self.turns.push_back(tenant);
            }
            queue.ready.push_back(slot);
        }
    }

    /// Deficit round robin: a tenant in debt is given its quantum and passed over; the others get one slice each.
    fn take_turn(&mut self, quantum: i64) -> Option<S> {
        while let Some(tenant) = self.turns.pop_front() {
            let Some(queue) = self.tenants.get_mut(&tenant) else {
                continue;
            };
            if queue.deficit <= 0 {
                queue.deficit = queue.deficit.saturating_add(quantum);
                if queue.deficit <= 0 && !self.turns.is_empty() {
                    self.turns.push_back(tenant);
                    continue;
                }
                // A debt is owed to whoever waits; where nobody does, it is forgiven.
                queue.deficit = queue.deficit.max(1);
            }
            let slot = queue.ready.pop_front();
            if queue.ready.is_empty() {
                // An idle tenant saves nothing up.
                queue.deficit = queue.deficit.min(quantum);
                self.forget_idle(tenant);
            } else {
                self.turns.push_back(tenant);
            }
            if slot.is_some() {
                return slot;
            }
        }
        None
    }

    /// A tenant without guests is no tenant; one whose last slot is still queued is forgotten with that slot.
    fn forget_idle(&mut self, tenant: Tenant) {
        let queue = self.tenants.get(&tenant);
        if queue.is_some_and(|queue| queue.alive == 0 && queue.ready.is_empty()) {
            self.tenants.remove(&tenant);
        }
    }
}

impl<S: PartialEq> std::fmt::Debug for Turns<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queues = self.lock();
        f.debug_struct("Turns")
            .field("alive", &queues.alive)
            .field("tenants", &queues.tenants.len())
            .field("turns", &queues.turns.len())
            .finish()
    }
}
