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

#[agent(name = "one", name = "two")]
fn named_twice(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(name = support)]
fn unquoted(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent("support")]
fn unnamed(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(name = "support" model = "small")]
fn run_together(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(model = "")]
fn modelless(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(tools = [add])]
fn bracketed(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(tools(add, other::add))]
fn ambiguous(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(guardrails = "max_tokens=2000")]
fn unbracketed(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

#[agent(guardrails = [max_tokens])]
fn unworded(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

fn main() {}
