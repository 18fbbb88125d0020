//! A guest's own time: what its thread computes while it is polled, and how long it waits for what it asked for. That it
//! waits for its turn is the host's doing, and not counted: a limit of its own time means the same on a busy host.
//! Kept by `invoke::check`, looked at by whoever asked.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The time of one guest.
#[derive(Debug, Default)]
pub struct OwnTime(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    spent: Duration,
    /// Since when it waits for something it asked for.
    waits: Option<Instant>,
    is_polled: bool,
    /// It gave its turn away, and goes on when it has the next.
    is_woken: bool,
    scheduler: Option<Waker>,
}

impl OwnTime {
    /// What it has spent so far; a slice counts once it is over.
    pub fn spent(&self) -> Duration {
        let state = self.lock();
        state.spent + state.waits.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Waits until it has spent so much.
    pub async fn reaches(&self, most: Duration) {
        loop {
            let left = most.saturating_sub(self.spent());
            if left.is_zero() {
                return;
            }
            // One that has little left may wait long for its turn: it is not asked at every tick.
            tokio::time::sleep(left.max(most / 10)).await;
        }
    }

    /// Counts a guest's.
    pub(super) async fn of<F: Future>(self: &Arc<Self>, guest: F) -> F::Output {
        let mut guest = pin!(guest);
        let waker = Waker::from(Arc::clone(self));
        poll_fn(|cx| {
            self.lock().goes_on(cx.waker());
            let began = computed();
            let polled = guest.as_mut().poll(&mut Context::from_waker(&waker));
            self.lock().rests(computed().saturating_sub(began));
            polled
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn goes_on(&mut self, scheduler: &Waker) {
        self.has_waited();
        (self.is_polled, self.is_woken) = (true, false);
        self.scheduler = Some(scheduler.clone());
    }

    fn rests(&mut self, computed: Duration) {
        self.spent += computed;
        self.is_polled = false;
        self.waits = (!self.is_woken).then(Instant::now);
    }

    fn has_waited(&mut self) {
        if let Some(since) = self.waits.take() {
            self.spent += since.elapsed();
        }
    }
}

impl Wake for OwnTime {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.lock();
        state.is_woken |= state.is_polled;
        state.has_waited();
        let scheduler = state.scheduler.clone();
        drop(state);
        if let Some(scheduler) = scheduler {
            scheduler.wake();
        }
    }
}

/// What this thread has computed since it began.
fn computed() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}
