//! Says what its tools answer, under guardrails of its own.
use bulkhead_sdk::{Outcome, Result, Turn, agent, output, tools};

/// Starts the tools it is told.
#[agent(guardrails = ["max_tool_calls=2", "require_tool_allowlist=add,sub"])]
fn warden(turn: Turn) -> Result<Outcome> {
    for name in turn.text().split_whitespace() {
        let call = tools::started(name, "{}");
        tools::finished(call, Ok("done"));
        output::text(name);
    }
    Ok(Outcome::EndTurn)
}
