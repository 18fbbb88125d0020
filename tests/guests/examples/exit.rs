//! Exits as a program would.
use bulkhead_sdk::{Outcome, Result, Turn, agent};

/// Exits.
#[agent]
fn exit(turn: Turn) -> Result<Outcome> {
    std::process::exit(turn.text().parse().unwrap_or(1));
}
