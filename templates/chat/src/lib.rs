//! The chat agent: talks with the model, and lends it two tools that run inside the agent.
//! The host calls it once for each turn.

mod calculator;

use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent, clock, tool};

const INSTRUCTIONS: &str = "\
You are a friendly and precise assistant.
- Use `current_time` for anything that depends on the date or the time, and `calculate` for any arithmetic: do not do \
it in your head.
- Say when you do not know something.
- Answer in the language of the question.";

/// Tells the current date and time in UTC, as RFC 3339.
#[tool]
pub fn current_time() -> Result<String> {
    Ok(clock::now().to_string())
}

/// Calculates the value of an arithmetic expression, to twelve significant digits.
#[tool]
pub fn calculate(
    /// Numbers with `+ - * / % ^` and parentheses, as in `(1.5 + 2) * 3^2`.
    expression: String,
) -> Result<String> {
    let value = calculator::evaluate(&expression)?;
    // What binary fractions add beyond these digits would only mislead: 0.1 + 0.2 is 0.3.
    let rounded = format!("{value:.11e}").parse().unwrap_or(value);
    Ok(if rounded == 0.0 {
        "0".to_owned()
    } else {
        f64::to_string(&rounded)
    })
}

/// Talks, tells the time and calculates.
#[agent(tools(current_time, calculate))]
pub fn chat(turn: Turn) -> Result<Outcome> {
    Agent::new(INSTRUCTIONS).max_tokens(1024).run(&turn)
}

#[cfg(test)]
mod tests {
    use bulkhead_sdk::mock::{Answer, MockHost};
    use serde_json::json;

    use super::*;

    #[test]
    fn it_talks() {
        let transcript = MockHost::new()
            .history("I am Ada.", "Hello, Ada.")
            .model("Ada.")
            .run(chat, "My name?");
        assert_eq!(transcript.text(), "Ada.");
        assert_eq!(transcript.requests[0].messages.len(), 4);
        assert_eq!(transcript.outcome, Ok(Outcome::EndTurn));
    }

    #[test]
    fn it_tells_the_time_by_the_clock_of_the_run() {
        let transcript = MockHost::new()
            .clock(1_000_000_000_000)
            .model(Answer::call("current_time", json!({})))
            .model("It is September 2001.")
            .run(chat, "What time is it?");
        assert_eq!(
            transcript.tool_calls()[0].answer,
            Ok("2001-09-09T01:46:40.000Z".to_owned())
        );
        assert_eq!(transcript.text(), "It is September 2001.");
    }

    #[test]
    fn it_calculates_and_reads_what_went_wrong() {
        let transcript = MockHost::new()
            .model(
                Answer::call("calculate", json!({"expression": "0.1 + 0.2"}))
                    .and_call("calculate", json!({"expression": "1/0"})),
            )
            .model("0.3, and the other has no value.")
            .run(chat, "0.1 + 0.2? And 1/0?");
        let answers: Vec<_> = transcript
            .tool_calls()
            .into_iter()
            .map(|call| call.answer)
            .collect();
        assert_eq!(
            answers,
            [Ok("0.3".to_owned()), Err("division by zero".to_owned())]
        );
    }

    #[test]
    fn it_states_its_tools() {
        let manifest = chat::manifest();
        assert_eq!(manifest.name, "chat");
        let tools: Vec<_> = manifest
            .tools
            .iter()
            .map(|tool| tool.name.as_str())
            .collect();
        assert_eq!(tools, ["current_time", "calculate"]);
        let schema: serde_json::Value =
            serde_json::from_str(&manifest.tools[1].input_schema).unwrap();
        assert_eq!(schema["required"], json!(["expression"]));
    }
}
