//! Asks the model what it was asked and passes the answer on.
use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent};

/// Asks the model.
#[agent]
fn generate(turn: Turn) -> Result<Outcome> {
    Agent::new("Answer.").run(&turn)
}
