//! The chat agent.

use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent, clock, tool};

/// Tells the current date and time in UTC.
#[tool]
pub fn current_time() -> Result<String> {
    Ok(clock::now().to_string())
}

/// Talks, and can tell the time and calculate.
#[agent(tools(current_time))]
pub fn chat(turn: Turn) -> Result<Outcome> {
    Agent::new("You are a helpful assistant.").run(&turn)
}
