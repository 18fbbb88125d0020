//! What every store holds for its guest: the resource table, WASI, the limits, and the meter that can be read from
//! outside while the guest runs. Views of the capabilities borrow it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::WasiCtx;

use super::limits::{Limit, Limiter, Limits};
use super::wasi::{self, Chance, Log};

/// Fuel of every call into the host, so that a million cheap ones are not free.
const FUEL_PER_CALL: u64 = 200;
/// Bytes that cross cost one unit for each eight.
const BYTES_PER_FUEL: u64 = 8;

/// Where a guest is: computing, or in which host call.
pub type Place = &'static str;

/// The place of a guest that computes.
pub const IN_GUEST: Place = "guest";

/// What a guest used so far. Exact whenever the guest is not being polled, since a guest stands still only in a
/// host call or at the end of a fuel slice, and both pass the hook that writes here.
#[derive(Debug)]
pub struct Meter {
    fuel: AtomicU64,
    memory_peak: AtomicU64,
    host_calls: AtomicU64,
    /// The frozen clock, in nanoseconds since the epoch.
    now: AtomicU64,
    /// Bytes that WASI carried since the last call was counted.
    carried: AtomicU64,
    place: Mutex<Place>,
}

impl Meter {
    pub fn new(now: OffsetDateTime) -> Arc<Self> {
        let meter = Self {
            fuel: AtomicU64::new(0),
            memory_peak: AtomicU64::new(0),
            host_calls: AtomicU64::new(0),
            now: AtomicU64::new(0),
            carried: AtomicU64::new(0),
            place: Mutex::new(IN_GUEST),
        };
        meter.advance_to(now);
        Arc::new(meter)
    }

    pub fn fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    pub fn memory_peak(&self) -> u64 {
        self.memory_peak.load(Ordering::Relaxed)
    }

    pub fn host_calls(&self) -> u64 {
        self.host_calls.load(Ordering::Relaxed)
    }

    pub fn place(&self) -> Place {
        *self.place.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The frozen clock, nanoseconds since the epoch.
    pub fn now_ns(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Moves the frozen clock; it never goes back.
    pub fn advance_to(&self, at: OffsetDateTime) {
        self.advance_to_ns(u64::try_from(at.unix_timestamp_nanos()).unwrap_or(0));
    }

    pub(super) fn advance_to_ns(&self, ns: u64) {
        self.now.fetch_max(ns, Ordering::Relaxed);
    }

    pub(super) fn memory(&self, total: u64) {
        self.memory_peak.fetch_max(total, Ordering::Relaxed);
    }

    /// States what was used so far: the store of a guest does, and whoever gives the scheduler another future.
    pub fn set_fuel(&self, used: u64) {
        self.fuel.store(used, Ordering::Relaxed);
    }

    /// Notes bytes that a WASI call carries; they count when the call returns.
    pub(super) fn carry(&self, bytes: usize) {
        self.carried.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn take_carried(&self) -> u64 {
        self.carried.swap(0, Ordering::Relaxed)
    }

    fn enter(&self, place: Place) {
        *self.place.lock().unwrap_or_else(|e| e.into_inner()) = place;
    }
}

/// Marks where the guest is until dropped. A stop reads the mark before it drops the guest.
#[derive(Debug)]
pub struct At(Arc<Meter>);

impl Drop for At {
    fn drop(&mut self) {
        self.0.enter(IN_GUEST);
    }
}

/// The sandbox's part of a store's data.
pub struct Host {
    pub table: ResourceTable,
    pub(super) wasi: WasiCtx,
    pub(super) chance: Chance,
    pub(super) limiter: Limiter,
    pub(super) refused: Option<Limit>,
    /// Whether waiting takes time. A replay's clock moves all the same.
    pub(super) waits: bool,
    /// Whether it ends with the call that leaves it no fuel, rather than with what it would do next.
    pub(super) ends_with_fuel: bool,
    meter: Arc<Meter>,
    log: Log,
    crossed: u64,
    output: u64,
}

impl Host {
    /// `seed` is what the guest's randomness grows from; the same seed gives the same bytes.
    pub fn new(limits: Limits, meter: Arc<Meter>, seed: [u8; 32]) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        let log = Log::new(limits.log_bytes_per_stream, &meter);
        let (wasi, chance) = wasi::context(&limits, &meter, seed, &log);
        Self {
            table,
            wasi,
            chance,
            limiter: Limiter::new(limits, Arc::clone(&meter)),
            refused: None,
            waits: true,
            ends_with_fuel: false,
            meter,
            log,
            crossed: 0,
            output: 0,
        }
    }

    /// For a replay: what the guest waited for is over.
    pub fn without_waiting(mut self) -> Self {
        self.waits = false;
        self
    }

    /// For a replay of what was stopped: its fuel is what it had used then, the call it was in included.
    pub fn ending_with_fuel(mut self) -> Self {
        self.ends_with_fuel = true;
        self
    }

    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// What the guest wrote to stdout, stderr and the log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn limits(&self) -> &Limits {
        self.limiter.limits()
    }

    /// Marks the host call the guest is in, for receipts.
    pub fn at(&self, place: Place) -> At {
        self.meter.enter(place);
        At(Arc::clone(&self.meter))
    }

    /// Counts one call into the host. Called by the linker's getters, so that no call can forget it; the refusal
    /// takes effect where the call states what it carries, before it does anything, or else when it returns.
    pub fn call(&mut self) {
        self.limiter.memory_refused = false;
        self.call_quietly();
    }

    /// The same for a call that asks for nothing and only leaves words, as a guest does that is about to give up.
    pub fn call_quietly(&mut self) {
        let calls = self.meter.host_calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.limiter.pending_fuel += FUEL_PER_CALL;
        if calls > self.limits().host_calls {
            self.refused.get_or_insert(Limit::HostCalls);
        }
    }

    /// Counts bytes that a call carries between guest and host, either way.
    pub fn crossing(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if let Some(limit) = self.refused {
            return Err(limit.into());
        }
        let bytes = bytes as u64;
        self.crossed = self.crossed.saturating_add(bytes);
        self.limiter.pending_fuel += bytes / BYTES_PER_FUEL;
        if bytes > self.limits().crossing_bytes_per_call {
            return Err(Limit::CrossingPerCall.into());
        }
        if self.crossed > self.limits().crossing_bytes_per_run {
            return Err(Limit::CrossingPerRun.into());
        }
        Ok(())
    }

    /// Counts what the host gives in one answer, before the guest has it.
    pub fn answer(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes > self.limits().answer_bytes {
            return Err(Limit::Answer.into());
        }
        self.crossing(bytes)
    }

    /// What the call that returns now costs, what WASI carried included; a refused call ends the run.
    pub(super) fn settle(&mut self) -> wasmtime::Result<u64> {
        let carried = usize::try_from(self.meter.take_carried()).unwrap_or(usize::MAX);
        self.crossing(carried)?;
        Ok(std::mem::take(&mut self.limiter.pending_fuel))
    }

    /// Counts bytes of output, which have a limit of their own.
    pub fn output(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.output = self.output.saturating_add(bytes as u64);
        if self.output > self.limits().output_bytes {
            return Err(Limit::Output.into());
        }
        Ok(())
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("meter", &self.meter)
            .finish_non_exhaustive()
    }
}
