//! Ends: a stop, a drop of the handle, a panic or a close at any moment of a guest's life. The guest is dropped once,
//! never while it is polled, and before its waiter hears of it; afterwards nothing of it is left.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Mutex;
use loom::thread;

use super::watched::{Then, Watch};
use super::{World, check};

#[test]
fn a_stop_at_any_moment() {
    for (threads, switches) in [(1, 3), (2, 2)] {
        check("a stop at any moment", switches, move || {
            let world = World::start(threads);
            let watch = Watch::default();
            let mut running = world.spawn(1, watch.guest(2, Then::End));
            let other = watch.clone();
            let waker = thread::spawn(move || other.give());
            running.stop();
            assert_eq!(block_on(running.wait()), None);
            let polls = watch.polls();
            watch.assert_gone();
            waker.join().expect("it only wakes");
            assert_eq!(watch.polls(), polls, "no guest code after a stop");
            drop(running);
            world.end(&[watch]);
        });
    }
}

#[test]
fn two_stops_at_once() {
    check("two stops at once", 2, || {
        let world = World::start(1);
        let watch = Watch::default();
        let running = Arc::new(world.spawn(1, watch.guest(1, Then::End)));
        let other = Arc::clone(&running);
        let stopper = thread::spawn(move || other.stop());
        watch.wake();
        running.stop();
        stopper.join().expect("it only stops");
        let mut running = Arc::into_inner(running).expect("the other is gone");
        assert_eq!(block_on(running.wait()), None);
        watch.assert_gone();
        drop(running);
        world.end(&[watch]);
    });
}

#[test]
fn a_stop_beside_the_end() {
    check("a stop beside the end", 3, || {
        let world = World::start(1);
        let watch = Watch::default();
        let mut running = world.spawn(1, watch.guest(1, Then::End));
        let other = watch.clone();
        let giver = thread::spawn(move || other.give());
        running.stop();
        assert!(matches!(block_on(running.wait()), None | Some(7)));
        watch.assert_gone();
        giver.join().expect("it only wakes");
        drop(running);
        world.end(&[watch]);
    });
}

#[test]
fn dropping_the_handle_at_any_moment() {
    check("dropping the handle", 2, || {
        let world = World::start(2);
        let watch = Watch::default();
        let running = world.spawn(1, watch.guest(2, Then::End));
        let other = watch.clone();
        let waker = thread::spawn(move || other.give());
        drop(running);
        waker.join().expect("it only wakes");
        world.end(&[watch]);
    });
}

#[test]
fn panics_end_their_own_guest() {
    check("panics in poll and in drop", 2, || {
        let world = World::start(1);
        let watch = Watch::default();
        let guest = watch.guest(1, Then::Panic).panicking_when_dropped();
        let mut running = world.spawn(1, guest);
        let other = watch.clone();
        let giver = thread::spawn(move || other.give());
        let mut neighbour = world.spawn(2, async { 3 });
        assert_eq!(block_on(running.wait()), None);
        watch.assert_gone();
        assert_eq!(block_on(neighbour.wait()), Some(3));
        giver.join().expect("it only wakes");
        drop((running, neighbour));
        world.end(&[watch]);
    });
}

#[test]
fn a_panic_beside_a_stop() {
    check("a panic beside a stop", 2, || {
        let world = World::start(1);
        let watch = Watch::default();
        let guest = watch.guest(1, Then::Panic).panicking_when_dropped();
        let mut running = world.spawn(1, guest);
        let other = watch.clone();
        let giver = thread::spawn(move || other.give());
        running.stop();
        assert_eq!(block_on(running.wait()), None);
        watch.assert_gone();
        giver.join().expect("it only wakes");
        drop(running);
        world.end(&[watch]);
    });
}

#[test]
fn a_close_at_any_moment() {
    check("a close at any moment", 2, || {
        let mut world = World::start(2);
        let watches = [Watch::default(), Watch::default()];
        let running = [0, 1].map(|n| world.spawn(n as u128, watches[n].guest(1 + n, Then::End)));
        let other = watches.clone();
        let giver = thread::spawn(move || other.iter().for_each(Watch::give));
        world.close();
        let polls = [0, 1].map(|n| watches[n].polls());
        giver.join().expect("it only wakes");
        watches.iter().for_each(Watch::wake);
        assert_eq!(
            [0, 1].map(|n| watches[n].polls()),
            polls,
            "polled after the close"
        );
        assert_eq!(watches[1].drops(), 0, "it stays in its slot");
        let late = world.spawn(1, async {});
        drop((running, late));
        world.end(&watches);
    });
}

/// A slice that a thread took before the close is its last: a guest that goes on for ever keeps no thread.
#[test]
fn a_close_ends_what_goes_on() {
    check("a close ends what goes on", 2, || {
        let mut world = World::start(1);
        let polls = Arc::new(AtomicUsize::new(0));
        let (seen, mut left) = (Arc::clone(&polls), 5);
        let running = world.spawn(
            1,
            poll_fn(move |cx| {
                seen.fetch_add(1, Ordering::SeqCst);
                left -= 1;
                if left > 0 {
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            }),
        );
        world.turns.close();
        let before = polls.load(Ordering::SeqCst);
        world.close();
        let after = polls.load(Ordering::SeqCst) - before;
        assert!(after <= 1, "{after} slices after the close");
        drop(running);
        world.end(&[]);
    });
}

/// A guest's drop runs under no lock: it may end another guest, here one that holds the other's handle.
#[test]
fn a_guest_may_take_another_with_it() {
    check("a guest takes another with it", 2, || {
        let world = World::start(2);
        let watch = Watch::default();
        let inner = world.spawn(1, watch.guest(1, Then::End));
        let outer = world.spawn(1, async move {
            let _inner = inner;
            pending::<()>().await;
        });
        watch.wake();
        drop(outer);
        world.end(&[watch]);
    });
}

/// A guest that drops its own handle is stopped during its poll, by the thread that polls it.
#[test]
fn a_guest_may_stop_itself() {
    check("a guest stops itself", 2, || {
        let mut world = World::start(2);
        let place = Arc::new(Mutex::new(None));
        let own = Arc::clone(&place);
        let mut left = 3;
        let running = world.spawn(
            1,
            poll_fn(move |cx| {
                let handle: Option<super::slots::Running<()>> =
                    own.lock().expect("nobody panics under it").take();
                left -= 1;
                if left > 0 {
                    cx.waker().wake_by_ref();
                }
                drop(handle);
                Poll::<()>::Pending
            }),
        );
        // Put there before the guest looks, between two looks, or too late.
        *place.lock().expect("nobody panics under it") = Some(running);
        world.close();
        drop(place.lock().expect("nobody panics under it").take());
        world.end(&[]);
    });
}
