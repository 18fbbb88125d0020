//! Descriptions that no host takes.
use bulkhead_sdk::{Outcome, Result, Turn, agent, tool};

/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
#[agent]
fn talkative(_: Turn) -> Result<Outcome> {
    Ok(Outcome::EndTurn)
}

/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
/// word word word word word word word word word word word word word word word word word word word
#[tool]
fn wordy() -> Result<u8> {
    Ok(1)
}

fn main() {}
