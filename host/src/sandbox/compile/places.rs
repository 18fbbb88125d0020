//! Places for work that is expensive and comes from many: tenants take turns for the free ones, nobody has the last
//! one for himself, and what waits is bounded. Called by agents for compile children and for inspections. Invariant: a
//! place is either free, with who it was given to, or on its way there; a waiter that went away leaves none behind.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::sandbox::schedule::Tenant;

/// Some places, and the queue before them. Cheap to clone.
#[derive(Clone)]
pub struct Places {
    state: Arc<Mutex<State>>,
}

struct State {
    free: usize,
    per_tenant: usize,
    taken: HashMap<Tenant, usize>,
    waiting: HashMap<Tenant, VecDeque<oneshot::Sender<Place>>>,
    /// Tenants that wait, in the order of their turns.
    turns: VecDeque<Tenant>,
    queued_max: usize,
    queued_max_per_tenant: usize,
}

/// One place; given back when dropped.
pub struct Place {
    places: Places,
    tenant: Tenant,
}

/// Every place is taken, and the queue has no seat left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Places {
    /// `queued`: seats in the queue, and those of one tenant.
    pub fn new(places: usize, queued: (usize, usize)) -> Self {
        let places = places.max(1);
        Self {
            state: Arc::new(Mutex::new(State {
                free: places,
                per_tenant: (places - 1).max(1),
                taken: HashMap::new(),
                waiting: HashMap::new(),
                turns: VecDeque::new(),
                queued_max: queued.0,
                queued_max_per_tenant: queued.1,
            })),
        }
    }

    /// A place, once it is the tenant's turn; refused where too many wait.
    pub async fn place(&self, tenant: Tenant) -> Result<Place, Full> {
        let (give, given) = oneshot::channel();
        {
            let mut state = self.lock();
            state.sweep();
            if state.is_full(tenant) {
                return Err(Full);
            }
            state.queue(tenant, give);
        }
        self.given(given).await
    }

    /// A place, once it is the tenant's turn, for who is bounded elsewhere.
    pub async fn place_after_all(&self, tenant: Tenant) -> Result<Place, Full> {
        let (give, given) = oneshot::channel();
        self.lock().queue(tenant, give);
        self.given(given).await
    }

    async fn given(&self, given: oneshot::Receiver<Place>) -> Result<Place, Full> {
        self.hand_out();
        // A sender is dropped unused only when its receiver is gone.
        given.await.map_err(|_| Full)
    }

    fn hand_out(&self) {
        loop {
            let Some((tenant, give)) = self.lock().next() else {
                return;
            };
            // Who went away gives the place back at once: the error holds it.
            let _ = give.send(Place {
                places: self.clone(),
                tenant,
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().give_back(self.tenant);
        self.places.hand_out();
    }
}

impl State {
    /// Who went away does not count.
    fn sweep(&mut self) {
        for queue in self.waiting.values_mut() {
            queue.retain(|waiter| !waiter.is_closed());
        }
    }

    fn is_full(&self, tenant: Tenant) -> bool {
        let all: usize = self.waiting.values().map(VecDeque::len).sum();
        let own = self.waiting.get(&tenant).map_or(0, VecDeque::len);
        let at_once = self.free > 0 && own == 0 && self.taken(tenant) < self.per_tenant;
        !at_once && (all >= self.queued_max || own >= self.queued_max_per_tenant)
    }

    fn queue(&mut self, tenant: Tenant, give: oneshot::Sender<Place>) {
        if !self.turns.contains(&tenant) {
            self.turns.push_back(tenant);
        }
        self.waiting.entry(tenant).or_default().push_back(give);
    }

    /// Who is given a place now, if anybody can be.
    fn next(&mut self) -> Option<(Tenant, oneshot::Sender<Place>)> {
        if self.free == 0 {
            return None;
        }
        let at = self
            .turns
            .iter()
            .position(|tenant| self.taken(*tenant) < self.per_tenant)?;
        let tenant = self.turns.remove(at)?;
        let queue = self.waiting.get_mut(&tenant)?;
        let give = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        // A queue whose waiters all went away.
        let Some(give) = give else { return self.next() };
        self.free -= 1;
        *self.taken.entry(tenant).or_default() += 1;
        Some((tenant, give))
    }

    fn give_back(&mut self, tenant: Tenant) {
        self.free += 1;
        if let Some(taken) = self.taken.get_mut(&tenant) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(&tenant);
            }
        }
    }

    fn taken(&self, tenant: Tenant) -> usize {
        self.taken.get(&tenant).copied().unwrap_or(0)
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Places")
            .field("free", &state.free)
            .field("taken", &state.taken.len())
            .field("waiting", &state.turns.len())
            .finish()
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}
