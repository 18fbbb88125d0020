//! Waits in a host call for as long as it is told, in milliseconds.
use bulkhead_sdk::{Outcome, Result, Turn, agent, clock, output};

/// Sleeps.
#[agent]
fn sleep(turn: Turn) -> Result<Outcome> {
    output::text("before");
    clock::sleep(std::time::Duration::from_millis(
        turn.text().parse().unwrap_or(0),
    ));
    output::text("after");
    Ok(Outcome::EndTurn)
}
