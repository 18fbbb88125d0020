//! The guest scheduler's own files, compiled a second time with loom's locks in place of the standard library's: loom
//! then goes through every order in which threads can reach them, up to a number of forced switches. No copy and no
//! flag: the lines checked are the lines that run. The scenarios stand beside this file.

mod ends;
mod sync;
mod wakes;
mod watched;

#[path = "../../../../host/src/sandbox/schedule/slots.rs"]
#[expect(unreachable_pub, reason = "it is public in the host")]
mod slots;
#[path = "../../../../host/src/sandbox/schedule/turns.rs"]
#[expect(unreachable_pub, reason = "it is public in the host")]
mod turns;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead::sandbox::Meter;
use tracing::subscriber::{NoSubscriber, with_default};

use self::slots::{Running, Slot, work};
use self::turns::{Tenant, Turns};
use self::watched::Watch;
use super::meter;

/// Guest threads and their turns, as `Scheduler` has them.
struct World {
    turns: Arc<Turns<Arc<Slot>>>,
    threads: Vec<loom::thread::JoinHandle<()>>,
}

impl World {
    fn start(threads: usize) -> Self {
        let turns = Arc::new(Turns::new(super::SLICE));
        let threads = (0..threads)
            .map(|_| {
                let turns = Arc::clone(&turns);
                loom::thread::spawn(move || work(&turns))
            })
            .collect();
        Self { turns, threads }
    }

    fn spawn<T, F>(&self, tenant: Tenant, guest: F) -> Running<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Running::start(&self.turns, (tenant, meter()), guest)
    }

    fn close(&mut self) {
        self.turns.close();
        for thread in self.threads.drain(..) {
            thread.join().expect("a guest thread outlives its guests");
        }
    }

    /// Every guest is gone once no thread polls: nothing is counted, queued or kept alive.
    fn end(mut self, watches: &[Watch]) {
        self.close();
        watches.iter().for_each(Watch::assert_gone);
        assert_eq!(self.turns.alive(), 0);
        assert_eq!(
            format!("{:?}", self.turns),
            "Turns { alive: 0, tenants: 0, turns: 0 }"
        );
        assert_eq!(Arc::strong_count(&self.turns), 1, "a slot was left");
    }
}

/// Every order of `scenario` with at most `switches` switches that no thread asked for.
#[expect(clippy::print_stdout, reason = "how much was checked is worth a look")]
fn check(name: &str, switches: usize, scenario: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.max_branches = 10_000;
    let began = std::time::Instant::now();
    with_default(NoSubscriber::new(), || {
        model.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            scenario();
        });
    });
    println!(
        "{name}: {} orders in {:.1?}",
        orders.load(Ordering::Relaxed),
        began.elapsed()
    );
}
