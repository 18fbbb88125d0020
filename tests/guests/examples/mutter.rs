//! Repeats what it was asked in every way there is: answer, status, log, stdout, stderr, and as its error.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a guest writes is the test"
)]
use bulkhead_sdk::{Error, Outcome, Result, Turn, agent, log, output};

/// Repeats.
#[agent]
fn mutter(turn: Turn) -> Result<Outcome> {
    output::text(turn.text());
    output::status(turn.text());
    log::info(turn.text());
    println!("{}", turn.text());
    eprintln!("{}", turn.text());
    Err(Error::Agent(turn.text().to_owned()))
}
