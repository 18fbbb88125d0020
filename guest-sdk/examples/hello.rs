//! The smallest agent.
use bulkhead_sdk::{Outcome, Result, Turn, agent, output};

/// Greets.
#[agent]
pub fn hello(turn: Turn) -> Result<Outcome> {
    output::text(&format!("Hello, {}!", turn.text()));
    Ok(Outcome::EndTurn)
}
