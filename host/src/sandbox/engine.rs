//! The engine: what is on, what is off, how many guests fit. One per host, shared by everything that compiles or runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmtime::{Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

use super::limits::Limits;

/// How long one tick of the engine's backstop clock is.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// The engine's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Guests that may be alive at one time, parked ones included; what comes beyond waits.
    pub guests: u32,
    /// Threads that run guests and nothing else; 0 is one per core.
    pub threads: usize,
    /// Fuel of one slice: how far a guest computes before others, or a stop, get their turn.
    pub slice_fuel: u64,
    /// Stack of a guest, in bytes.
    pub stack_bytes: usize,
    /// Limits of a run where nobody asked for less.
    pub limits: Limits,
    /// Limits of compiling one component.
    pub compile: super::compile::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            guests: 4_000,
            threads: 0,
            slice_fuel: 50_000,
            stack_bytes: 512 << 10,
            limits: Limits::default(),
            compile: super::compile::Config::default(),
        }
    }
}

/// The engine and its backstop clock. Dropping the last clone stops the clock.
#[derive(Clone)]
pub struct Sandbox {
    pub(super) engine: Engine,
    pub(super) config: Arc<Config>,
    _ticker: Arc<Ticker>,
}

struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that can panic.
            let _ = thread.join();
        }
    }
}

impl Sandbox {
    pub fn new(config: Config) -> wasmtime::Result<Self> {
        let engine = Engine::new(&settings(&config))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let weak = engine.weak();
        let thread = std::thread::Builder::new()
            .name("bulkhead-epoch".into())
            .spawn(move || {
                while !told.load(Ordering::Relaxed) {
                    std::thread::park_timeout(TICK);
                    let Some(engine) = weak.upgrade() else { return };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            engine,
            config: Arc::new(config),
            _ticker: Arc::new(Ticker {
                stop,
                thread: Some(thread),
            }),
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Names everything compiled code depends on besides the component: engine version and settings.
    pub fn compatibility(&self) -> String {
        use std::hash::{Hash as _, Hasher as _};
        let mut hasher = std::hash::DefaultHasher::new();
        self.engine
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sandbox")
    }
}

/// Slots for components that are being described at upload, beside the guests of runs.
const DESCRIBED: u32 = 16;
/// And for guardrail components: runs that wait for a verdict keep their own, so those that judge need others.
const JUDGING: u32 = 48;

/// The settings host and compile child share: they must agree, or the artifact does not load.
pub(super) fn settings(config: &Config) -> wasmtime::Config {
    let mut c = wasmtime::Config::new();
    c.strategy(Strategy::Cranelift)
        // Proposals a guest gets no use of, or that would make it nondeterministic.
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .wasm_shared_everything_threads(false)
        .wasm_memory64(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .shared_memory(false)
        .concurrency_support(false)
        .relaxed_simd_deterministic(true)
        .cranelift_nan_canonicalization(true)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(config.stack_bytes)
        .async_stack_size(config.stack_bytes + (512 << 10))
        .async_stack_zeroing(true)
        .native_unwind_info(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(config)));
    c
}

fn pool(config: &Config) -> PoolingAllocationConfig {
    let limits = &config.limits;
    // Most guests have one memory and a table or two; the room for more is shared, and a guest that finds none waits.
    let guests = config.guests.max(1) + DESCRIBED + JUDGING;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(guests)
        .total_core_instances(guests.saturating_mul(10))
        .total_memories(guests + guests / 4 + 8)
        .total_tables(guests.saturating_mul(3) + 16)
        .total_stacks(guests)
        .max_core_instances_per_component(u32::try_from(limits.core_instances).unwrap_or(u32::MAX))
        .max_memories_per_component(u32::try_from(limits.memories).unwrap_or(u32::MAX))
        .max_tables_per_component(u32::try_from(limits.tables).unwrap_or(u32::MAX))
        .max_memories_per_module(u32::try_from(limits.memories).unwrap_or(u32::MAX))
        .max_tables_per_module(u32::try_from(limits.tables).unwrap_or(u32::MAX))
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .max_unused_warm_slots(64)
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}
