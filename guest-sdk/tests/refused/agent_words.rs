//! Agents that say what cannot be said.
use bulkhead_sdk::{Outcome, Result, Turn, agent};

#[agent(name = "Support Desk")]
fn named(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(temperature = "high")]
fn warm(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

fn main() {}
