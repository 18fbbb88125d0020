//! What happens to one guest: parked, ready, polled, stopped, gone. A stop does not wait for the guest's turn: it takes
//! the future out of its slot and drops it, unless the slot is being polled at that moment (then at the end of the
//! slice). Invariant: a slot's future is in exactly one place — the slot, or the hands of the thread that polls it —
//! and is dropped exactly once, under no lock, before `Running::wait` resolves.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::Meter;
use super::sync::{Mutex, MutexGuard, oneshot, yield_now};
use super::turns::{Tenant, Turns};

type Guest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The life of a guest thread: slice after slice, until the turns are closed.
pub(super) fn work(turns: &Turns<Arc<Slot>>) {
    while let Some(slot) = turns.next() {
        slot.slice();
    }
}

/// A guest under way. Dropping it stops the guest.
pub struct Running<T> {
    slot: Arc<Slot>,
    gone: Option<oneshot::Receiver<()>>,
    result: Arc<Mutex<Option<T>>>,
}

pub(super) struct Slot {
    tenant: Tenant,
    meter: Arc<Meter>,
    turns: Arc<Turns<Arc<Self>>>,
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

impl<T: Send + 'static> Running<T> {
    pub(super) fn start(
        turns: &Arc<Turns<Arc<Slot>>>,
        (tenant, meter): (Tenant, Arc<Meter>),
        guest: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        let result = Arc::new(Mutex::new(None));
        let place = Arc::clone(&result);
        // In a box of its own: a guest that panics is not dropped by the unwinding of its poll, but as any other.
        let mut guest = Box::pin(guest);
        let guest = poll_fn(move |cx| {
            let polled = guest.as_mut().poll(cx);
            polled.map(|value| *lock(&place) = Some(value))
        });
        let (done, gone) = oneshot::channel();
        let slot = Arc::new(Slot {
            tenant,
            meter,
            turns: Arc::clone(turns),
            inner: Mutex::new(Inner {
                phase: Phase::Ready,
                guest: Some(Box::pin(guest)),
                done: Some(done),
            }),
        });
        turns.admit(tenant, Arc::clone(&slot));
        Self {
            slot,
            gone: Some(gone),
            result,
        }
    }
}

impl<T> Running<T> {
    /// Takes the guest out: at once where it is not being polled, else at the end of its slice. `wait` tells when.
    pub fn stop(&self) {
        self.slot.stop();
    }

    /// The guest's value, or `None` where it was stopped, panicked or had been waited for. The guest is gone when this
    /// resolves; one that was left when the scheduler closed goes only by a stop.
    pub async fn wait(&mut self) -> Option<T> {
        if let Some(gone) = &mut self.gone {
            // The sender is dropped, never used.
            let _ = gone.await;
            self.gone = None;
        }
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
        let phase = inner.phase;
        match phase {
            Phase::Parked | Phase::Ready => {
                inner.phase = Phase::Done;
                let guest = inner.guest.take();
                let done = inner.done.take();
                drop(inner);
                if phase == Phase::Ready {
                    self.turns.withdraw(self.tenant, self);
                }
                self.forget(guest, done);
            }
            Phase::Polled | Phase::PolledAndWoken => inner.phase = Phase::Stopping,
            Phase::Stopping | Phase::Done => {}
        }
    }

    /// Drops the guest, then tells the waiter. Never under a lock: a guest's drop may wake or stop other slots.
    fn forget(&self, guest: Option<Guest>, done: Option<oneshot::Sender<()>>) {
        let dropped = std::panic::catch_unwind(AssertUnwindSafe(|| drop(guest)));
        if dropped.is_err() {
            tracing::error!("a guest panicked while it was dropped");
        }
        self.turns.leave(self.tenant);
        drop(done);
    }

    /// One slice, charged to the tenant before anybody else can have the slot.
    fn slice(self: &Arc<Self>) {
        let mut inner = lock(&self.inner);
        if inner.phase != Phase::Ready {
            // Stopped between queue and thread.
            return;
        }
        let Some(mut guest) = inner.guest.take() else {
            return;
        };
        inner.phase = Phase::Polled;
        drop(inner);

        let waker = Waker::from(Arc::clone(self));
        let before = self.meter.fuel();
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            guest.as_mut().poll(&mut Context::from_waker(&waker))
        }));
        if polled.is_err() {
            tracing::error!("a guest's future panicked");
        }
        let used = self.meter.fuel().saturating_sub(before);
        self.turns.charge(self.tenant, used);

        let mut inner = lock(&self.inner);
        if inner.phase == Phase::Stopping || !matches!(polled, Ok(Poll::Pending)) {
            inner.phase = Phase::Done;
            let done = inner.done.take();
            drop(inner);
            self.forget(Some(guest), done);
            return;
        }
        inner.guest = Some(guest);
        let woken = inner.phase == Phase::PolledAndWoken;
        inner.phase = if woken { Phase::Ready } else { Phase::Parked };
        drop(inner);
        if woken {
            self.turns.push(self.tenant, Arc::clone(self));
            // A guest that computes makes no system call: where the kernel preempts at its tick only, whoever woke up
            // on this core would wait for that, up to 4 ms.
            yield_now();
        }
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
                self.turns.push(self.tenant, Arc::clone(self));
            }
            Phase::Polled => inner.phase = Phase::PolledAndWoken,
            Phase::Ready | Phase::PolledAndWoken | Phase::Stopping | Phase::Done => {}
        }
    }
}

/// One slot is no other.
impl PartialEq for Slot {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// The locks guard plain bookkeeping that a panic cannot leave half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> std::fmt::Debug for Running<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("meter", &self.slot.meter)
            .finish_non_exhaustive()
    }
}
