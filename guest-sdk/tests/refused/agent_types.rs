//! Agents of the right shape and the wrong types.
use bulkhead_sdk::{Outcome, Result, agent};

#[agent]
fn worded(_: String) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

fn not_a_tool() {}

#[agent(tools(not_a_tool))]
fn tooled(_: bulkhead_sdk::Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent]
fn speechless(_: bulkhead_sdk::Turn) -> Result<String> {
    Ok(String::new())
}

fn main() {}
