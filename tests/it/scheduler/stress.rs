//! Seeded disorder: guests that park, spin, end and panic, while threads wake and stop them at random. Whatever
//! happens, each is dropped exactly once, before its waiter hears of it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use bulkhead::sandbox::{Running, Scheduler};
use bulkhead_tests::logs;

use super::{Dropped, meter, scheduler};

/// xorshift64*: enough disorder, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

struct Player {
    running: Running<u64>,
    waker: Arc<Mutex<Option<Waker>>>,
    dropped: Dropped,
}

fn player(scheduler: &Scheduler, seed: u64) -> Player {
    let dropped = Dropped::default();
    let guard = dropped.guard();
    let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
    let (place, inside) = (Arc::clone(&waker), AtomicBool::new(false));
    let meter = meter();
    let fuel = Arc::clone(&meter);
    let mut dice = Dice(seed | 1);
    let running = scheduler.spawn(
        u128::from(seed % 5),
        meter,
        poll_fn(move |cx| {
            let _guard = &guard;
            assert!(!inside.swap(true, Ordering::SeqCst), "polled twice at once");
            fuel.set_fuel(fuel.fuel() + dice.roll(3_000));
            *place.lock().expect("plain place") = Some(cx.waker().clone());
            let next = dice.roll(100);
            inside.store(false, Ordering::SeqCst);
            match next {
                0 => panic!("as the dice want it"),
                1..4 => return Poll::Ready(seed),
                4..60 => cx.waker().wake_by_ref(),
                _ => {}
            }
            Poll::Pending
        }),
    );
    Player {
        running,
        waker,
        dropped,
    }
}

async fn play(seed: u64) {
    let scheduler = scheduler(3);
    let mut dice = Dice(seed);
    let players: Vec<Player> = (0..150)
        .map(|_| player(&scheduler, dice.roll(u64::MAX >> 33)))
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..2)
        .map(|n| {
            let wakers: Vec<_> = players
                .iter()
                .map(|player| Arc::clone(&player.waker))
                .collect();
            let over = Arc::clone(&over);
            let mut dice = Dice(seed + n + 1);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let waker = &wakers[dice.roll(wakers.len() as u64) as usize];
                    if let Some(waker) = waker.lock().expect("plain place").as_ref() {
                        waker.wake_by_ref();
                    }
                }
            })
        })
        .collect();
    for mut player in players {
        match dice.roll(3) {
            0 => player.running.stop(),
            1 => {
                drop(player.running);
                continue;
            }
            _ => {}
        }
        player.running.wait().await;
        assert_eq!(player.dropped.times(), 1, "seed {seed}");
    }
    while scheduler.alive() > 0 {
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("it only wakes");
    }
    scheduler.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn disorder_does_no_harm() {
    logs::expect_errors("a guest's future panicked");
    for seed in 1..=12 {
        play(seed * 7_919).await;
    }
}
