//! Throws dice the way a standard library does: hash maps are seeded with them.
use std::hash::{BuildHasher as _, RandomState};

use bulkhead_sdk::{Outcome, Result, Turn, agent, output};

/// Throws dice.
#[agent]
fn dice(_: Turn) -> Result<Outcome> {
    output::text(&format!("{:016x}", RandomState::new().hash_one(0)));
    Ok(Outcome::EndTurn)
}
