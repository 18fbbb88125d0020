//! A guest under watch: every poll and drop of it is counted, and what must not be is noted. A panic would not do: the
//! scheduler catches those of its guests.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use loom::sync::Mutex;
use loom::sync::atomic::AtomicUsize as Permits;

/// What a scenario holds of its guest.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    /// The guest waits for these; taking and giving them is where loom switches threads inside of a poll.
    permits: Permits,
    waker: Mutex<Option<Waker>>,
    inside: AtomicBool,
    polls: AtomicUsize,
    drops: AtomicUsize,
    harm: std::sync::Mutex<Vec<&'static str>>,
}

/// What the guest does once it has its permits.
pub(super) enum Then {
    End,
    Panic,
}

impl Watch {
    /// A guest that waits for `permits`.
    pub(super) fn guest(&self, permits: usize, then: Then) -> Guest {
        Guest {
            watch: self.clone(),
            permits,
            then,
            panics_when_dropped: false,
        }
    }

    /// Gives a permit and tells the guest, if it ever waited.
    pub(super) fn give(&self) {
        self.0.permits.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Wakes without a reason.
    pub(super) fn wake(&self) {
        let waker = self.0.waker.lock().expect("nobody panics under it").clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn polls(&self) -> usize {
        self.0.polls.load(Ordering::SeqCst)
    }

    pub(super) fn drops(&self) -> usize {
        self.0.drops.load(Ordering::SeqCst)
    }

    /// The guest is gone, and nothing happened to it that must not. Lets its waker go.
    pub(super) fn assert_gone(&self) {
        assert_eq!(self.drops(), 1, "dropped once");
        let harm = self.0.harm.lock().expect("a plain list");
        assert!(harm.is_empty(), "{harm:?}");
        drop(harm);
        self.0.waker.lock().expect("nobody panics under it").take();
    }

    fn note(&self, harm: &'static str) {
        self.0.harm.lock().expect("a plain list").push(harm);
    }
}

pub(super) struct Guest {
    watch: Watch,
    permits: usize,
    then: Then,
    panics_when_dropped: bool,
}

impl Guest {
    pub(super) fn panicking_when_dropped(mut self) -> Self {
        self.panics_when_dropped = true;
        self
    }
}

impl Future for Guest {
    type Output = u8;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u8> {
        let seen = &self.watch.0;
        if seen.inside.swap(true, Ordering::SeqCst) {
            self.watch.note("polled by two at once");
        }
        if seen.drops.load(Ordering::SeqCst) > 0 {
            self.watch.note("polled after it was dropped");
        }
        seen.polls.fetch_add(1, Ordering::SeqCst);
        let place = &seen.waker;
        *place.lock().expect("nobody panics under it") = Some(cx.waker().clone());
        let enough = seen.permits.load(Ordering::SeqCst) >= self.permits;
        seen.inside.store(false, Ordering::SeqCst);
        match (enough, &self.then) {
            (false, _) => Poll::Pending,
            (true, Then::End) => Poll::Ready(7),
            // Without the hook: thousands of orders would be thousands of messages.
            (true, Then::Panic) => resume_unwind(Box::new("as the test wants it")),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.watch.0.inside.load(Ordering::SeqCst) {
            self.watch.note("dropped during its poll");
        }
        // A switch in the middle of the drop: whoever is told too early finds it unfinished.
        self.watch.0.permits.load(Ordering::SeqCst);
        self.watch.0.drops.fetch_add(1, Ordering::SeqCst);
        if self.panics_when_dropped {
            resume_unwind(Box::new("as the test wants it"));
        }
    }
}
