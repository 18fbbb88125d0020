//! Panics with a message of a megabyte.
use bulkhead_sdk::{Outcome, Result, Turn, agent};

/// Panics.
#[agent(name = "panics")]
fn panics(_: Turn) -> Result<Outcome> {
    panic!("{}", "so it ends ".repeat(100_000));
}
