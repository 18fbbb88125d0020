//! Says as many pieces as it is told, each of as many bytes: `COUNT BYTES`.
use bulkhead_sdk::{Outcome, Result, Turn, agent, output};

/// Talks.
#[agent]
fn chatter(turn: Turn) -> Result<Outcome> {
    let mut words = turn
        .text()
        .split(' ')
        .map(|word| word.parse::<usize>().unwrap_or(1));
    let (count, bytes) = (words.next().unwrap_or(1), words.next().unwrap_or(1));
    for n in 0..count {
        output::text(&format!("{n:0bytes$}"));
    }
    Ok(Outcome::EndTurn)
}
