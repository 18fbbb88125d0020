//! Compiling in a child process that can be killed: compile bombs are ours to survive. `parent.rs` starts the child and
//! ends it, `child.rs` is its life, `confine.rs` what it gives up before it reads a byte, `places.rs` whose turn it is
//! to have one, and `artifacts.rs` keeps what it made. Called by agents and, in the child, by the command line.

mod artifacts;
mod child;
mod confine;
mod parent;
mod places;

use serde::{Deserialize, Serialize};

pub use self::artifacts::Artifacts;
pub use self::child::child;
pub use self::parent::{in_child, inspect_in_child};
pub use self::places::{Full, Place, Places};

/// The child's subcommand; not for people.
pub const CHILD: &str = "compile-component";

/// Limits of compiling one component.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub wall_s: u64,
    pub cpu_s: u64,
    pub memory_bytes: u64,
    pub artifact_bytes: u64,
    /// Children at one time. A tenant has at most all but one of them.
    pub children: usize,
    /// Components that wait for a child.
    pub queued: usize,
    /// Components of one tenant that wait.
    pub queued_per_tenant: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wall_s: 30,
            cpu_s: 60,
            memory_bytes: 4 << 30,
            artifact_bytes: 512 << 20,
            children: 2,
            queued: 64,
            queued_per_tenant: 16,
        }
    }
}

/// Why there is no compiled component.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("Compiling took longer than {0} s.")]
    TooSlow(u64),
    #[error("Compiling used more CPU or memory than it may.")]
    TooMuch,
    #[error("The compiled component is larger than {0} bytes.")]
    TooLarge(u64),
    /// What the child has against it, in its own words.
    #[error("{0}")]
    Refused(String),
    #[error("the compile child failed: {0}")]
    Host(#[from] std::io::Error),
    #[error("the compile child answered something that it did not compile")]
    Lied,
}
