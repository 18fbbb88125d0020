//! The limits of one run inside the engine: their defaults, what enforces memory and tables, and the error that
//! names the one that was hit.

use std::fmt;

use serde::{Deserialize, Serialize};
use wasmtime::ResourceLimiter;

use super::host::Meter;

/// What one guest may use. Every field is configuration; sizes in bytes unless the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Instructions, roughly; host calls and memory growth cost fuel too.
    pub fuel: u64,
    /// Linear memory, summed over the run's memories.
    pub memory_bytes: usize,
    pub table_elements: usize,
    pub core_instances: usize,
    pub memories: usize,
    pub tables: usize,
    /// Calls into the host, WASI's included.
    pub host_calls: u64,
    /// What may cross in one host call, and over the whole run.
    pub crossing_bytes_per_call: u64,
    pub crossing_bytes_per_run: u64,
    /// What the host gives in one answer: a model's chunk, the hits of a search.
    pub answer_bytes: usize,
    /// Resources open at one time.
    pub handles: usize,
    /// Text and other output over the whole run.
    pub output_bytes: u64,
    /// Kept of each of stdout, stderr and the log; the rest is counted and dropped.
    pub log_bytes_per_stream: usize,
    pub random_bytes_per_call: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: 5_000_000_000,
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            // Python, as `componentize-py --stub-wasi` makes it, has 38: one for each interface it stubs.
            core_instances: 40,
            memories: 4,
            tables: 8,
            host_calls: 10_000,
            crossing_bytes_per_call: 2 << 20,
            crossing_bytes_per_run: 64 << 20,
            answer_bytes: 1 << 20,
            handles: 4_096,
            output_bytes: 4 << 20,
            log_bytes_per_stream: 64 << 10,
            random_bytes_per_call: 64 << 10,
        }
    }
}

/// A limit of the sandbox that ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Fuel,
    Memory,
    TableElements,
    CoreInstances,
    Memories,
    Tables,
    HostCalls,
    CrossingPerCall,
    CrossingPerRun,
    Answer,
    Handles,
    Output,
    /// The engine's own backstop: a guest that outlived its deadline without yielding.
    Epoch,
}

impl Limit {
    /// The name it is configured by.
    pub fn key(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Memory => "memory_bytes",
            Self::TableElements => "table_elements",
            Self::CoreInstances => "core_instances",
            Self::Memories => "memories",
            Self::Tables => "tables",
            Self::HostCalls => "host_calls",
            Self::CrossingPerCall => "crossing_bytes_per_call",
            Self::CrossingPerRun => "crossing_bytes_per_run",
            Self::Answer => "answer_bytes",
            Self::Handles => "handles",
            Self::Output => "output_bytes",
            Self::Epoch => "wall_ms",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Fuel => "the fuel limit was used up",
            Self::Memory => "the memory limit was reached",
            Self::TableElements => "a table begins with more elements than one may have",
            Self::CoreInstances => "the component has more core instances than one may have",
            Self::Memories => "the component has more memories than one may have",
            Self::Tables => "the component has more tables than one may have",
            Self::HostCalls => "the limit of host calls was reached",
            Self::CrossingPerCall => "a host call carried more bytes than one call may",
            Self::CrossingPerRun => "the run's host calls carried more bytes than a run may",
            Self::Answer => "the host's answer had more bytes than one answer may",
            Self::Handles => "the limit of open resources was reached",
            Self::Output => "the output limit was reached",
            Self::Epoch => "the guest outlived its deadline",
        };
        write!(f, "{what} (`{}`)", self.key())
    }
}

impl std::error::Error for Limit {}

/// Fuel for each page of 64 KiB that memory grows by: touching it costs the host about as much.
const FUEL_PER_PAGE: u64 = 1_000;

/// Counts memory over all memories of a store; wasmtime asks it before anything grows.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    memory_bytes: usize,
    /// Memory was refused, and the guest has neither got any nor asked the host for anything since: if it gives up
    /// now, this is why.
    pub(super) memory_refused: bool,
    /// Fuel to be charged when the guest goes on.
    pub(super) pending_fuel: u64,
    meter: std::sync::Arc<Meter>,
}

impl Limiter {
    pub(super) fn new(limits: Limits, meter: std::sync::Arc<Meter>) -> Self {
        Self {
            limits,
            memory_bytes: 0,
            memory_refused: false,
            pending_fuel: 0,
            meter,
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        // Asking for nothing asks how much there is. More than its own module allows it is no growth either.
        if growth == 0 || maximum.is_some_and(|most| desired > most) {
            return Ok(growth == 0);
        }
        let total = self.memory_bytes.saturating_add(growth);
        if total > self.limits.memory_bytes {
            self.memory_refused = true;
            return Ok(false);
        }
        self.memory_bytes = total;
        self.memory_refused = false;
        self.pending_fuel += FUEL_PER_PAGE * (growth as u64 >> 16);
        self.meter.memory(total as u64);
        Ok(true)
    }

    /// The machine has none, or no memory can be that large. What was counted stays counted.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!(%error, "a guest's memory could not grow");
        self.memory_refused = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.limits.table_elements)
    }

    fn instances(&self) -> usize {
        self.limits.core_instances
    }

    fn memories(&self) -> usize {
        self.limits.memories
    }

    fn tables(&self) -> usize {
        self.limits.tables
    }
}
