//! The room's limits.

use serde::{Deserialize, Serialize};

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether a version may declare a guardrail this host does not know. For development: it guards nothing.
    pub allow_unknown: bool,
    /// Time of its own that a guardrail component has for one verdict: what it computes and waits for itself. That it
    /// waits for its turn beside others is not counted.
    pub component_ms: u64,
    /// How long it may wait for its turns, and for a place, on a busy host.
    pub component_wait_ms: u64,
    /// Fuel and memory of one verdict.
    pub component_fuel: u64,
    pub component_memory_bytes: usize,
    /// Bytes of output that a component is asked about at one time.
    pub component_piece_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow_unknown: false,
            component_ms: 50,
            component_wait_ms: 5_000,
            component_fuel: 200_000_000,
            component_memory_bytes: 16 << 20,
            component_piece_bytes: 8 << 10,
        }
    }
}
