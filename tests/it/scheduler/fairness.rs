//! Shares, counted in fuel and slices: what a tenant gets does not depend on how many guests it has.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use bulkhead::sandbox::{Running, Scheduler};

use super::{SLICE, meter, scheduler};

/// What each tenant used, and when to stop counting.
#[derive(Clone)]
struct Shares {
    fuel: Arc<[AtomicU64]>,
    slices: Arc<AtomicU64>,
    most: u64,
    /// Nothing counts before every guest is in its slot: on a busy machine spawning takes its time.
    counting: Arc<AtomicBool>,
}

impl Shares {
    fn of(tenants: usize, most: u64) -> Self {
        Self {
            fuel: (0..tenants).map(|_| AtomicU64::new(0)).collect(),
            slices: Arc::default(),
            most,
            counting: Arc::default(),
        }
    }

    /// A guest that spins, `slice` units of fuel at a time, until the count is full.
    fn spin(&self, scheduler: &Scheduler, tenant: usize, slice: u64) -> Running<()> {
        let (shares, meter) = (self.clone(), meter());
        let spun = Arc::clone(&meter);
        let mut used = 0;
        scheduler.spawn(
            tenant as u128,
            meter,
            poll_fn(move |cx| {
                if !shares.counting.load(Ordering::Relaxed) {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if shares.slices.fetch_add(1, Ordering::Relaxed) >= shares.most {
                    return Poll::Ready(());
                }
                used += slice;
                spun.set_fuel(used);
                shares.fuel[tenant].fetch_add(slice, Ordering::Relaxed);
                cx.waker().wake_by_ref();
                Poll::Pending
            }),
        )
    }

    fn share(&self, tenant: usize) -> f64 {
        let all: u64 = self
            .fuel
            .iter()
            .map(|fuel| fuel.load(Ordering::Relaxed))
            .sum();
        self.fuel[tenant].load(Ordering::Relaxed) as f64 / all as f64
    }
}

/// Counts from here until each guest has ended.
async fn all(shares: &Shares, guests: Vec<Running<()>>) {
    shares.counting.store(true, Ordering::Relaxed);
    for mut guest in guests {
        guest.wait().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_guest_against_two_hundred_has_half() {
    one_has_half(200).await;
}

/// The share is the same, however many there are.
#[tokio::test(flavor = "multi_thread")]
async fn one_guest_against_three_thousand_has_half() {
    one_has_half(3_000).await;
}

async fn one_has_half(others: usize) {
    let scheduler = scheduler(1);
    let shares = Shares::of(2, 20_000);
    let mut guests: Vec<_> = (0..others)
        .map(|_| shares.spin(&scheduler, 0, SLICE))
        .collect();
    guests.push(shares.spin(&scheduler, 1, SLICE));
    all(&shares, guests).await;
    assert!(
        (0.45..0.55).contains(&shares.share(1)),
        "{}",
        shares.share(1)
    );
    scheduler.close();
}

/// What a guest waits for its next slice: at most one slice of each other tenant, whatever is queued behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_polite_guest_has_every_other_slice_beside_three_thousand() {
    let scheduler = scheduler(1);
    let shares = Shares::of(1, u64::MAX);
    let others: Vec<_> = (0..3_000)
        .map(|_| shares.spin(&scheduler, 0, SLICE))
        .collect();
    shares.counting.store(true, Ordering::Relaxed);
    let seen = Arc::clone(&shares.slices);
    let (meter, mut slices) = (meter(), Vec::new());
    let used = Arc::clone(&meter);
    let mut polite = scheduler.spawn(
        1,
        meter,
        poll_fn(move |cx| {
            slices.push(seen.load(Ordering::Relaxed));
            used.set_fuel(SLICE * slices.len() as u64);
            if slices.len() == 100 {
                return Poll::Ready(std::mem::take(&mut slices));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }),
    );
    let slices = polite.wait().await.expect("it ends");
    let most = slices.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(
        most <= Some(2),
        "others' slices between two of its own: {most:?}"
    );
    drop(others);
    while scheduler.alive() > 0 {
        tokio::task::yield_now().await;
    }
    scheduler.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_slices_do_not_make_a_large_share() {
    let scheduler = scheduler(1);
    let shares = Shares::of(3, 20_000);
    let mut guests: Vec<_> = (0..20)
        .map(|_| shares.spin(&scheduler, 0, 10 * SLICE))
        .collect();
    guests.push(shares.spin(&scheduler, 1, SLICE));
    guests.push(shares.spin(&scheduler, 2, SLICE / 10));
    guests.push(shares.spin(&scheduler, 2, SLICE / 10));
    all(&shares, guests).await;
    assert!((0.4..0.6).contains(&shares.share(0)), "{}", shares.share(0));
    assert!(shares.share(1) > 0.35, "{}", shares.share(1));
    scheduler.close();
}

/// Debts are owed to somebody: who computed alone starts even when another comes.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_pays_for_having_been_alone() {
    let scheduler = scheduler(1);
    let alone = Shares::of(2, u64::MAX);
    alone.counting.store(true, Ordering::Relaxed);
    let long = alone.spin(&scheduler, 0, 50 * SLICE);
    while alone.slices.load(Ordering::Relaxed) < 4_000 {
        tokio::task::yield_now().await;
    }
    let before = alone.fuel[0].load(Ordering::Relaxed);
    let other = Shares::of(2, 2_000);
    let guest = other.spin(&scheduler, 1, 50 * SLICE);
    all(&other, vec![guest]).await;
    let meanwhile = alone.fuel[0].load(Ordering::Relaxed) - before;
    let slices = meanwhile / (50 * SLICE);
    assert!(slices > 1_500, "{slices} slices beside 2,000 of the other");
    drop(long);
    while scheduler.alive() > 0 {
        tokio::task::yield_now().await;
    }
    scheduler.close();
}
