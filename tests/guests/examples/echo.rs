//! Says what it was asked.
use bulkhead_sdk::{Outcome, Result, Turn, agent, output};

/// Says what it was asked.
#[agent]
fn echo(turn: Turn) -> Result<Outcome> {
    output::text(turn.text());
    Ok(Outcome::EndTurn)
}
