//! The guest scheduler alone, with futures made by hand: nothing is lost, nothing is polled twice at once, a stop takes
//! the future out whatever it is doing, and tenants share by fuel.

mod fairness;
mod model;
mod stress;

use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};

use bulkhead::sandbox::{Meter, Running, Scheduler};
use bulkhead_tests::logs;
use time::OffsetDateTime;
use tokio::runtime::Handle;

const SLICE: u64 = 1_000;

fn scheduler(threads: usize) -> Scheduler {
    Scheduler::start(threads, SLICE, &Handle::current()).expect("threads can be started")
}

fn meter() -> Arc<Meter> {
    Meter::new(OffsetDateTime::UNIX_EPOCH)
}

/// Tells when it is dropped.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicUsize>);

impl Dropped {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// What a future holds.
    fn guard(&self) -> Guard {
        Guard(self.clone())
    }
}

struct Guard(Dropped);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A guest that blocks its thread in `poll` until told, for tests that need a guest to be polled at that moment.
struct Blocked {
    running: Running<()>,
    entered: mpsc::Receiver<()>,
    leave: mpsc::Sender<()>,
    dropped: Dropped,
}

fn block(scheduler: &Scheduler) -> Blocked {
    let (enter, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let left = Mutex::new(left);
    let running = scheduler.spawn(
        99,
        meter(),
        poll_fn(move |_| {
            let _guard = &guard;
            enter.send(()).expect("the test waits");
            let _ = left.lock().expect("one poll at a time").recv();
            Poll::Pending
        }),
    );
    Blocked {
        running,
        entered,
        leave,
        dropped,
    }
}

impl Blocked {
    fn wait_until_polled(&self) {
        self.entered.recv().expect("it is polled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_ends_with_its_value() {
    let scheduler = scheduler(2);
    let mut running = scheduler.spawn(1, meter(), async { 7 });
    assert_eq!(running.wait().await, Some(7));
    assert_eq!(scheduler.alive(), 0);
    scheduler.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn wait_resolves_after_the_future_is_dropped() {
    let scheduler = scheduler(2);
    for n in 0..200 {
        let dropped = Dropped::default();
        let guard = dropped.guard();
        let mut running = scheduler.spawn(1, meter(), async move {
            let _guard = guard;
            tokio::task::yield_now().await;
            n
        });
        assert_eq!(running.wait().await, Some(n));
        assert_eq!(dropped.times(), 1);
    }
    scheduler.close();
}

/// Each round takes one permit; a lost wake-up leaves the last permits untaken and the test without an end.
#[tokio::test(flavor = "multi_thread")]
async fn no_wake_up_is_lost() {
    const ROUNDS: u64 = 20_000;
    let scheduler = scheduler(2);
    let permits = Arc::new(AtomicU64::new(0));
    let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
    let inside = AtomicBool::new(false);
    let (seen, place) = (Arc::clone(&permits), Arc::clone(&waker));
    let mut taken = 0;
    let mut running = scheduler.spawn(
        1,
        meter(),
        poll_fn(move |cx| {
            assert!(!inside.swap(true, Ordering::SeqCst), "polled twice at once");
            *place.lock().expect("plain place") = Some(cx.waker().clone());
            taken += seen.swap(0, Ordering::SeqCst);
            inside.store(false, Ordering::SeqCst);
            if taken == ROUNDS {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }),
    );
    let wakers: Vec<_> = (0..2)
        .map(|_| {
            let (permits, waker) = (Arc::clone(&permits), Arc::clone(&waker));
            std::thread::spawn(move || {
                for _ in 0..ROUNDS / 2 {
                    permits.fetch_add(1, Ordering::SeqCst);
                    let waker = waker.lock().expect("plain place").clone();
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                }
            })
        })
        .collect();
    assert_eq!(running.wait().await, Some(()));
    for thread in wakers {
        thread.join().expect("it only wakes");
    }
    scheduler.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_a_parked_guest_at_once() {
    let scheduler = scheduler(1);
    let dropped = Dropped::default();
    let (guard, parked) = (dropped.guard(), Arc::new(AtomicBool::new(false)));
    let polled = Arc::clone(&parked);
    let mut running = scheduler.spawn(1, meter(), async move {
        let _guard = guard;
        polled.store(true, Ordering::SeqCst);
        pending::<()>().await;
    });
    // The only thread goes on to another guest: this one is parked.
    let mut blocked = loop {
        let blocked = block(&scheduler);
        blocked.wait_until_polled();
        if parked.load(Ordering::SeqCst) {
            break blocked;
        }
        drop(blocked);
    };
    running.stop();
    assert_eq!(dropped.times(), 1, "no thread was needed");
    assert_eq!(running.wait().await, None);
    running.stop();
    drop(blocked.leave);
    blocked.running.stop();
    blocked.running.wait().await;
    assert_eq!(scheduler.alive(), 0);
    scheduler.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_a_ready_guest_before_its_turn() {
    let scheduler = scheduler(1);
    let mut blocked = block(&scheduler);
    blocked.wait_until_polled();
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let mut running = scheduler.spawn(1, meter(), async move {
        let _guard = guard;
        panic!("a guest that was stopped is not polled");
    });
    running.stop();
    assert_eq!(dropped.times(), 1);
    assert_eq!(running.wait().await, None::<()>);
    blocked.leave.send(()).expect("it waits");
    blocked.running.stop();
    blocked.running.wait().await;
    let mut after = scheduler.spawn(1, meter(), async { 1 });
    assert_eq!(
        after.wait().await,
        Some(1),
        "the queue goes on behind the empty slot"
    );
    scheduler.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_takes_a_polled_guest_at_the_end_of_its_slice() {
    let scheduler = scheduler(1);
    for drop_it in [false, true] {
        let Blocked {
            mut running,
            entered,
            leave,
            dropped,
        } = block(&scheduler);
        entered.recv().expect("it is polled");
        running.stop();
        assert_eq!(dropped.times(), 0, "its slice has not ended");
        assert_eq!(scheduler.alive(), 1);
        if drop_it {
            drop(running);
            leave.send(()).expect("it waits");
        } else {
            leave.send(()).expect("it waits");
            assert_eq!(running.wait().await, None);
            assert_eq!(dropped.times(), 1);
        }
        scheduler.spawn(1, meter(), async {}).wait().await;
        assert_eq!(dropped.times(), 1);
    }
    assert_eq!(scheduler.alive(), 0);
    scheduler.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_handle_stops_the_guest() {
    let scheduler = scheduler(2);
    let dropped = Dropped::default();
    let guard = dropped.guard();
    drop(scheduler.spawn(1, meter(), async move {
        let _guard = guard;
        pending::<()>().await;
    }));
    while scheduler.alive() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(dropped.times(), 1);
    scheduler.close();
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("as the test wants it");
    }
}

fn panics() -> impl Future<Output = u8> + Send {
    poll_fn(|_| panic!("as the test wants it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_its_own_guest_only() {
    logs::expect_errors("a guest's future panicked");
    logs::expect_errors("a guest panicked while it was dropped");
    let scheduler = scheduler(1);
    let mut in_poll = scheduler.spawn(1, meter(), panics());
    assert_eq!(in_poll.wait().await, None);
    let mut in_drop = scheduler.spawn(1, meter(), async {
        let _guard = PanicsWhenDropped;
        pending::<()>().await;
    });
    scheduler.spawn(1, meter(), async {}).wait().await;
    in_drop.stop();
    assert_eq!(in_drop.wait().await, None);
    let mut neighbour = scheduler.spawn(1, meter(), async { 3 });
    assert_eq!(neighbour.wait().await, Some(3));
    assert_eq!(scheduler.alive(), 0);
    scheduler.close();
}
