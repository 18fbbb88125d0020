//! What the operator may set of the audit log.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The limits of this room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where checkpoints are kept outside the database; in the data folder where it is empty.
    pub checkpoints: PathBuf,
    /// A checkpoint is signed every so many rows…
    pub checkpoint_rows: u32,
    /// …and when the oldest unsigned row is as old as this.
    pub checkpoint_ms: u64,
    /// So many refusals of one key in one minute have rows of their own on each host; the others are counted.
    pub refusals_per_minute: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            checkpoints: PathBuf::new(),
            checkpoint_rows: 1_000,
            checkpoint_ms: 300_000,
            refusals_per_minute: 60,
        }
    }
}
