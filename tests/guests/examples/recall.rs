//! Says everything it was given, a message in a line.
use bulkhead_sdk::{Outcome, Result, Speaker, Turn, agent, output};

/// Says everything it was given, a message in a line.
#[agent]
fn recall(turn: Turn) -> Result<Outcome> {
    let who = |speaker| match speaker {
        Speaker::User => 'u',
        Speaker::Assistant => 'a',
    };
    let messages = turn.messages().iter();
    let lines: Vec<String> = messages
        .map(|message| {
            format!(
                "{}:{}",
                who(message.speaker),
                message.text.replace('\n', "/")
            )
        })
        .collect();
    output::text(&lines.join("\n"));
    Ok(Outcome::EndTurn)
}
