//! Wakes: none is lost, whenever it comes; none brings two threads to one guest; none does anything to a guest that is
//! gone. A lost one leaves every thread waiting, which loom reports as a deadlock.

use loom::future::block_on;
use loom::thread;

use super::watched::{Then, Watch};
use super::{World, check};

#[test]
fn a_wake_is_never_lost() {
    for (threads, switches) in [(1, 3), (2, 2)] {
        check("a wake is never lost", switches, move || {
            let world = World::start(threads);
            let watch = Watch::default();
            let mut running = world.spawn(1, watch.guest(2, Then::End));
            let other = watch.clone();
            let giver = thread::spawn(move || other.give());
            watch.give();
            assert_eq!(block_on(running.wait()), Some(7));
            watch.assert_gone();
            giver.join().expect("it only wakes");
            drop(running);
            world.end(&[watch]);
        });
    }
}

#[test]
fn a_guest_that_wakes_itself_goes_on() {
    check("a guest that wakes itself", 2, || {
        let world = World::start(2);
        let mut left = 3;
        let spins = std::future::poll_fn(move |cx| {
            left -= 1;
            cx.waker().wake_by_ref();
            match left {
                0 => std::task::Poll::Ready(7),
                _ => std::task::Poll::Pending,
            }
        });
        let mut running = world.spawn(1, spins);
        assert_eq!(block_on(running.wait()), Some(7));
        assert_eq!(block_on(running.wait()), None, "a value is given once");
        drop(running);
        world.end(&[]);
    });
}

#[test]
fn tenants_take_turns_and_leave_nothing() {
    check("tenants leave nothing", 1, || {
        let world = World::start(2);
        let watches = [(); 3].map(|()| Watch::default());
        let [mut first, mut second, third] = [(0, 1), (1, 1), (2, 2)]
            .map(|(n, tenant)| world.spawn(tenant, watches[n].guest(1, Then::End)));
        let others = watches.clone();
        let giver = thread::spawn(move || others.iter().for_each(Watch::give));
        drop(third);
        assert_eq!(block_on(first.wait()), Some(7));
        assert_eq!(block_on(second.wait()), Some(7));
        giver.join().expect("it only wakes");
        drop((first, second));
        world.end(&watches);
    });
}

#[test]
fn a_wake_of_a_guest_that_is_gone_is_nothing() {
    check("a wake of the gone", 3, || {
        let world = World::start(1);
        let watch = Watch::default();
        let mut running = world.spawn(1, watch.guest(1, Then::End));
        let other = watch.clone();
        let waker = thread::spawn(move || {
            other.give();
            other.wake();
        });
        assert_eq!(block_on(running.wait()), Some(7));
        let polls = watch.polls();
        watch.wake();
        waker.join().expect("it only wakes");
        assert_eq!(watch.polls(), polls);
        drop(running);
        world.end(&[watch]);
    });
}
