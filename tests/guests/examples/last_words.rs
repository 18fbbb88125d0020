//! Holds a value that speaks when it is dropped, and waits.
use bulkhead_sdk::{Outcome, Result, Turn, agent, clock, output};

struct Speaks;

impl Drop for Speaks {
    fn drop(&mut self) {
        output::text("last words");
    }
}

/// Has last words.
#[agent]
fn last_words(turn: Turn) -> Result<Outcome> {
    let _speaks = Speaks;
    output::text("first words, ");
    clock::sleep(std::time::Duration::from_millis(
        turn.text().parse().unwrap_or(0),
    ));
    Ok(Outcome::EndTurn)
}
