//! The fair guest scheduler: guests sit in slots of this executor, one poll is one fuel slice, tenants take turns by
//! deficit round robin in fuel, then their guests do. Here are its threads; `slots.rs` says what happens to a guest,
//! `turns.rs` whose turn it is. Those two know locks only by the names in `sync.rs`: the tests compile the same files
//! against loom's and go through every interleaving (`tests/it/scheduler/model`).

mod slots;
mod sync;
mod turns;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::runtime::Handle;

pub use self::slots::Running;
use self::slots::{Slot, lock, work};
pub use self::turns::Tenant;
use self::turns::Turns;
use super::host::Meter;

/// Runs guests on threads of its own. Cheap to clone; `close` ends the threads.
#[derive(Clone, Debug)]
pub struct Scheduler {
    turns: Arc<Turns<Arc<Slot>>>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Scheduler {
    /// Starts `threads` guest threads. `slice_fuel` is a tenant's share of one turn. Timers of WASI polls run on
    /// `runtime`.
    pub fn start(threads: usize, slice_fuel: u64, runtime: &Handle) -> std::io::Result<Self> {
        let scheduler = Self {
            turns: Arc::new(Turns::new(slice_fuel)),
            threads: Arc::default(),
        };
        for n in 0..threads.max(1) {
            let (turns, runtime) = (Arc::clone(&scheduler.turns), runtime.clone());
            let thread = std::thread::Builder::new()
                .name(format!("bulkhead-guest-{n}"))
                .spawn(move || {
                    let _context = runtime.enter();
                    // Guests give way to HTTP, heartbeats and the database on a busy machine.
                    let _ = rustix::process::nice(5);
                    work(&turns);
                })
                .inspect_err(|_| scheduler.close())?;
            lock(&scheduler.threads).push(thread);
        }
        Ok(scheduler)
    }

    /// Puts a guest into a slot of its tenant. `meter` tells what each slice used.
    pub fn spawn<T, F>(&self, tenant: Tenant, meter: Arc<Meter>, guest: F) -> Running<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Running::start(&self.turns, (tenant, meter), guest)
    }

    /// Guests in slots now.
    pub fn alive(&self) -> usize {
        self.turns.alive()
    }

    /// Ends the threads once no slice runs. Guests still in their slots are never polled again; each is dropped with
    /// its `Running`.
    pub fn close(&self) {
        self.turns.close();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // A guest thread catches the panics of its guests; its own would be logged by the panic hook.
            let _ = thread.join();
        }
    }
}
