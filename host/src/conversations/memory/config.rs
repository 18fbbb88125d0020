//! The room's limits.

use serde::{Deserialize, Serialize};

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Keys of one conversation's memory.
    pub memory_keys: usize,
    /// Bytes of its keys and values together.
    pub memory_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            memory_keys: 1_000,
            memory_bytes: 256 << 10,
        }
    }
}
