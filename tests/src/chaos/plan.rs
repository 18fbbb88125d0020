//! What a round is to be: its seed, its size, and where it tells what it does.

use std::io::Write as _;

/// One round.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// More of everything.
    pub long: bool,
    /// What hosts of the round are told of `runs.dead_after_ms`.
    pub dead_after_ms: u64,
    /// Tell everything on stderr while it happens.
    pub aloud: bool,
}

impl Plan {
    pub fn quick(seed: u64) -> Self {
        Self {
            seed,
            long: false,
            dead_after_ms: 1_500,
            aloud: false,
        }
    }

    /// The command that repeats a round of this plan.
    pub fn command(&self, fault: &str) -> String {
        let mut command = format!(
            "cargo run -p bulkhead-tests --bin chaos -- {} --fault {fault}",
            self.seed
        );
        if self.long {
            command.push_str(" --long --rounds 1");
        }
        if self.dead_after_ms != Self::quick(0).dead_after_ms {
            command.push_str(&format!(" --dead-after-ms {}", self.dead_after_ms));
        }
        command
    }

    pub(super) fn tell(&self, line: &str) {
        if self.aloud {
            // Nobody may be left to read it.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}
