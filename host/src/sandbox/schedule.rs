//! The fair guest scheduler: guests sit in slots of this executor, one poll is one fuel slice, tenants take turns by
//! deficit round robin in fuel, then their guests do. A stop does not wait for its turn: it takes the future out of
//! its slot and drops it, unless the slot is being polled at that moment (then at the end of the slice).
//!
//! Invariant: a slot's future is in exactly one place — the slot, or the hands of the thread that polls it — and is
//! dropped exactly once, before `Running::wait` resolves.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::host::Meter;

/// Whoever takes turns: an organization.
pub type Tenant = u128;

type Guest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs guests on threads of its own. Cheap to clone; `close` ends the threads.
#[derive(Clone)]
pub struct Scheduler {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

struct Shared {
    queues: Mutex<Queues>,
    work: Condvar,
    quantum: i64,
}

#[derive(Default)]
struct Queues {
    tenants: HashMap<Tenant, Queue>,
    /// Tenants with a guest that can go on, in the order of their turns.
    turns: VecDeque<Tenant>,
    closed: bool,
    alive: usize,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Arc<Slot>>,
    /// Fuel the tenant may still use before others have theirs; negative is a debt.
    deficit: i64,
    /// Guests of the tenant that are alive; the last one takes the queue with it.
    alive: usize,
}

struct Slot {
    tenant: Tenant,
    meter: Arc<Meter>,
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
}

struct Inner {
    phase: Phase,
    guest: Option<Guest>,
    /// Dropped when the guest is: that is what tells the waiter.
    done: Option<oneshot::Sender<()>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits to be woken.
    Parked,
    /// In its tenant's queue.
    Ready,
    /// Being polled.
    Polled,
    /// Being polled, and woken since.
    PolledAndWoken,
    /// Being polled, and to be dropped at the end of the slice.
    Stopping,
    /// Gone.
    Done,
}

/// A guest under way. Dropping it stops the guest.
pub struct Running<T> {
    slot: Arc<Slot>,
    gone: oneshot::Receiver<()>,
    result: Arc<Mutex<Option<T>>>,
}

impl Scheduler {
    /// Starts `threads` guest threads. `slice_fuel` is a tenant's share of one turn. Timers of WASI polls run on
    /// `runtime`.
    pub fn start(threads: usize, slice_fuel: u64, runtime: &Handle) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            work: Condvar::new(),
            quantum: i64::try_from(slice_fuel).unwrap_or(i64::MAX).max(1),
        });
        let threads = (0..threads.max(1))
            .map(|n| {
                let (shared, runtime) = (Arc::clone(&shared), runtime.clone());
                std::thread::Builder::new()
                    .name(format!("bulkhead-guest-{n}"))
                    .spawn(move || work(&shared, &runtime))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shared,
            threads: Arc::new(Mutex::new(threads)),
        })
    }

    /// Puts a guest into a slot of its tenant. `meter` tells what each slice used.
    pub fn spawn<T, F>(&self, tenant: Tenant, meter: Arc<Meter>, guest: F) -> Running<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        let (done, gone) = oneshot::channel();
        let slot = Arc::new(Slot {
            tenant,
            meter,
            shared: Arc::clone(&self.shared),
            inner: Mutex::new(Inner {
                phase: Phase::Ready,
                guest: Some(Box::pin(async move {
                    let value = guest.await;
                    *lock(&place) = Some(value);
                })),
                done: Some(done),
            }),
        });
        self.shared.admit(&slot);
        Running { slot, gone, result }
    }

    /// Guests in slots now.
    pub fn alive(&self) -> usize {
        lock(&self.shared.queues).alive
    }

    /// Ends the threads once no slice runs; guests still in their slots stay parked and are dropped with their
    /// `Running`.
    pub fn close(&self) {
        lock(&self.shared.queues).closed = true;
        self.shared.work.notify_all();
        for thread in lock(&self.threads).drain(..) {
            // A guest thread catches the panics of its guests; its own would be logged by the panic hook.
            let _ = thread.join();
        }
    }
}

impl<T> Running<T> {
    /// Takes the guest out: at once where it is not being polled, else at the end of its slice. `wait` tells when.
    pub fn stop(&self) {
        self.slot.stop();
    }

    /// The guest's value, or `None` where it was stopped or panicked. The guest is gone when this resolves.
    pub async fn wait(&mut self) -> Option<T> {
        // The sender is dropped, never used.
        let _ = (&mut self.gone).await;
        lock(&self.result).take()
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.slot.stop();
    }
}

impl Slot {
    fn stop(self: &Arc<Self>) {
        let mut inner = lock(&self.inner);
        match inner.phase {
            Phase::Parked | Phase::Ready => {
                inner.phase = Phase::Done;
                let guest = inner.guest.take();
                let done = inner.done.take();
                drop(inner);
                self.forget(guest, done);
            }
            Phase::Polled | Phase::PolledAndWoken => inner.phase = Phase::Stopping,
            Phase::Stopping | Phase::Done => {}
        }
    }

    /// Drops the guest, then tells the waiter. Never under a lock: a guest's drop may wake other slots.
    fn forget(&self, guest: Option<Guest>, done: Option<oneshot::Sender<()>>) {
        let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(guest)));
        if dropped.is_err() {
            tracing::error!("a guest panicked while it was dropped");
        }
        self.shared.leave(self.tenant);
        drop(done);
    }

    /// One slice. Returns what it used.
    fn poll(self: &Arc<Self>, waker: &Waker) -> i64 {
        let mut inner = lock(&self.inner);
        if inner.phase != Phase::Ready {
            // Stopped between queue and thread.
            return 0;
        }
        inner.phase = Phase::Polled;
        let Some(mut guest) = inner.guest.take() else {
            return 0;
        };
        drop(inner);

        let before = self.meter.fuel();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            guest.as_mut().poll(&mut Context::from_waker(waker))
        }));
        let used = self.meter.fuel().saturating_sub(before);

        let mut inner = lock(&self.inner);
        let finished = !matches!(polled, Ok(Poll::Pending));
        if polled.is_err() {
            tracing::error!("a guest's future panicked");
        }
        if finished || inner.phase == Phase::Stopping {
            inner.phase = Phase::Done;
            let done = inner.done.take();
            drop(inner);
            self.forget(Some(guest), done);
        } else {
            inner.guest = Some(guest);
            let woken = inner.phase == Phase::PolledAndWoken;
            inner.phase = if woken { Phase::Ready } else { Phase::Parked };
            drop(inner);
            if woken {
                self.shared.enqueue(self);
            }
        }
        i64::try_from(used).unwrap_or(i64::MAX)
    }
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut inner = lock(&self.inner);
        match inner.phase {
            Phase::Parked => {
                inner.phase = Phase::Ready;
                drop(inner);
                self.shared.enqueue(self);
            }
            Phase::Polled => inner.phase = Phase::PolledAndWoken,
            Phase::Ready | Phase::PolledAndWoken | Phase::Stopping | Phase::Done => {}
        }
    }
}

impl Shared {
    fn admit(&self, slot: &Arc<Slot>) {
        let mut queues = lock(&self.queues);
        queues.alive += 1;
        queues.tenants.entry(slot.tenant).or_default().alive += 1;
        drop(queues);
        self.enqueue(slot);
    }

    fn leave(&self, tenant: Tenant) {
        let mut queues = lock(&self.queues);
        queues.alive -= 1;
        if let Some(queue) = queues.tenants.get_mut(&tenant) {
            queue.alive -= 1;
            if queue.alive == 0 && queue.ready.is_empty() {
                queues.tenants.remove(&tenant);
            }
        }
    }

    fn enqueue(&self, slot: &Arc<Slot>) {
        let mut queues = lock(&self.queues);
        let Queues { tenants, turns, .. } = &mut *queues;
        let queue = tenants.entry(slot.tenant).or_default();
        if queue.ready.is_empty() {
            turns.push_back(slot.tenant);
        }
        queue.ready.push_back(Arc::clone(slot));
        drop(queues);
        self.work.notify_one();
    }

    /// The next guest whose turn it is; blocks while there is none, `None` when closed.
    fn next(&self) -> Option<Arc<Slot>> {
        let mut queues = lock(&self.queues);
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

    fn charge(&self, tenant: Tenant, used: i64) {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.tenants.get_mut(&tenant) else {
            return;
        };
        queue.deficit = queue.deficit.saturating_sub(used);
        if queue.alive == 0 && queue.ready.is_empty() {
            queues.tenants.remove(&tenant);
        }
    }
}

impl Queues {
    /// Deficit round robin: a tenant in debt is given its quantum and passed over; the others get one slice each.
    fn take_turn(&mut self, quantum: i64) -> Option<Arc<Slot>> {
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
            let Some(slot) = queue.ready.pop_front() else {
                continue;
            };
            if queue.ready.is_empty() {
                // An idle tenant saves nothing up.
                queue.deficit = queue.deficit.min(quantum);
            } else {
                self.turns.push_back(tenant);
            }
            return Some(slot);
        }
        None
    }
}

fn work(shared: &Shared, runtime: &Handle) {
    let _context = runtime.enter();
    // Guests give way to HTTP, heartbeats and the database on a busy machine.
    let _ = rustix::process::nice(5);
    while let Some(slot) = shared.next() {
        let waker = Waker::from(Arc::clone(&slot));
        let used = slot.poll(&waker);
        shared.charge(slot.tenant, used);
    }
}

/// The locks guard plain bookkeeping that a panic cannot leave half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scheduler")
    }
}

impl<T> std::fmt::Debug for Running<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("meter", &self.slot.meter)
            .finish_non_exhaustive()
    }
}
