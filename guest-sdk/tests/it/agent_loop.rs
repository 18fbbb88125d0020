//! The ready loop: what it asks, what it says and in which order, and where it ends.

use bulkhead_sdk::mock::{Answer, Event, MockHost};
use bulkhead_sdk::model::{FinishReason, Part, Role};
use bulkhead_sdk::{Agent, Error, Outcome, Result, Turn, agent, tool};
use serde_json::json;

/// Adds two numbers.
#[tool]
fn add(a: i64, b: i64) -> Result<i64> {
    Ok(a.checked_add(b).ok_or("the sum is too large")?)
}

/// Never works.
#[tool]
fn broken() -> Result<()> {
    Err("out of order")?
}

/// Answers from knowledge.
#[agent]
fn librarian(turn: Turn) -> Result<Outcome> {
    Agent::new("Answer from the passages.")
        .knowledge(2)
        .max_tokens(50)
        .run(&turn)
}

/// Calculates.
#[agent(tools(add, broken))]
fn clerk(turn: Turn) -> Result<Outcome> {
    Agent::new("Use the tools.").max_iterations(4).run(&turn)
}

fn library() -> MockHost {
    MockHost::new()
        .knowledge("Cancelling", "Cancel stops a run.")
        .knowledge("Limits", "A run has a fuel limit.")
        .knowledge("Baking", "Bread needs yeast.")
}

#[test]
fn passages_go_to_the_model_with_the_question() {
    let transcript = library()
        .history("hi", "Hello.")
        .model("?")
        .run(librarian, "cancel a run");
    assert_eq!(transcript.queries[0].text, "cancel a run");
    let [system, user, assistant, question] = &transcript.requests[0].messages[..] else {
        panic!("{:?}", transcript.requests[0].messages);
    };
    assert_eq!(
        [system.role, user.role, assistant.role, question.role],
        [Role::System, Role::User, Role::Assistant, Role::User]
    );
    let Part::Text(instructions) = &system.parts[0] else {
        panic!("{system:?}")
    };
    assert!(
        instructions.starts_with("Answer from the passages.\n\n"),
        "{instructions}"
    );
    let [Part::Passages(passages), Part::Text(text)] = &question.parts[..] else {
        panic!("{question:?}");
    };
    let titles: Vec<_> = passages
        .iter()
        .map(|p| (p.number, p.title.as_str()))
        .collect();
    assert_eq!(titles, [(1, "Cancelling"), (2, "Limits")]);
    assert_eq!(text, "cancel a run");
    assert_eq!(transcript.requests[0].max_tokens, Some(50));
}

#[test]
fn a_citation_follows_the_text_that_completes_its_marker() {
    let transcript = library()
        .model(Answer::chunks([
            "Cancel it [",
            "1",
            "]. Fuel",
            " [2] [1] [3].",
        ]))
        .run(librarian, "how does a run stop at a limit or by cancel");
    let seen: Vec<String> = transcript
        .events
        .iter()
        .map(|event| match event {
            Event::Text(text) => text.clone(),
            Event::Citation(cited) => format!("<{} {}>", cited.number, cited.title),
            other => panic!("{other:?}"),
        })
        .collect();
    let cited: Vec<_> = transcript
        .citations()
        .iter()
        .map(|cited| cited.number)
        .collect();
    assert_eq!(cited, [1, 2]);
    assert_eq!(seen[..3], ["Cancel it [", "1", "]. Fuel"]);
    assert!(
        seen[3].starts_with("<1 ") && seen[5].starts_with("<2 "),
        "{seen:?}"
    );
    assert_eq!(seen[4], " [2] [1] [3].");
    assert_eq!(transcript.outcome, Ok(Outcome::EndTurn));
}

#[test]
fn the_model_is_told_when_nothing_was_found() {
    let transcript = library().model("I found nothing.").run(librarian, "xyzzy");
    let Part::Text(system) = &transcript.requests[0].messages[0].parts[0] else {
        panic!()
    };
    assert!(system.contains("no passage matches it"), "{system}");
    assert_eq!(
        transcript.requests[0].messages[1].parts,
        [Part::Passages(Vec::new()), Part::from("xyzzy")]
    );
}

#[test]
fn failures_of_model_and_knowledge_end_the_run() {
    let broken = Error::Broken("cut".to_owned());
    let down = Error::Unavailable("no index".to_owned());
    let cases = [
        (
            library().model(Answer::error(Error::RateLimited(None))),
            Error::RateLimited(None),
            "",
        ),
        (
            library().model(Answer::from("Can").then_error(broken.clone())),
            broken,
            "Can",
        ),
        (
            library().model(Answer::from("").finish(FinishReason::Refused)),
            Error::Refused,
            "",
        ),
        (library().knowledge_error(down.clone()), down, ""),
    ];
    for (host, error, said) in cases {
        let transcript = host.run(librarian, "cancel");
        assert_eq!(
            (transcript.text().as_str(), transcript.outcome),
            (said, Err(error))
        );
    }
}

#[test]
fn a_cut_answer_ends_with_its_own_outcome_and_runs_no_tool() {
    let cut = Answer::from("It is ")
        .and_call("add", json!({"a": 1, "b": 1}))
        .finish(FinishReason::MaxTokens);
    let transcript = MockHost::new().model(cut).run(clerk, "1+1");
    assert_eq!(transcript.outcome, Ok(Outcome::MaxTokens));
    assert_eq!(transcript.tool_calls(), []);
}

#[test]
fn tools_are_called_and_their_answers_read() {
    let transcript = MockHost::new()
        .model(
            Answer::from("Adding.")
                .and_call("add", json!({"a": 1, "b": 2}))
                .and_call("add", json!({"a": i64::MAX, "b": 1})),
        )
        .model("Three.")
        .run(clerk, "add");
    assert_eq!(transcript.text(), "Adding.\n\nThree.");
    let calls = transcript.tool_calls();
    assert_eq!(calls[0].answer, Ok("3".to_owned()));
    assert_eq!(calls[1].answer, Err("the sum is too large".to_owned()));
    let [.., asked, answered] = &transcript.requests[1].messages[..] else {
        panic!()
    };
    assert_eq!((asked.role, asked.parts.len()), (Role::Assistant, 3));
    let results: Vec<_> = answered
        .parts
        .iter()
        .map(|part| match part {
            Part::ToolResult(result) => (result.content.as_str(), result.failed),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, [("3", false), ("the sum is too large", true)]);
    let offered: Vec<_> = transcript.requests[0]
        .tools
        .iter()
        .map(|tool| tool.name)
        .collect();
    assert_eq!(offered, ["add", "broken"]);
}

#[test]
fn an_unknown_tool_is_told_to_the_model() {
    let transcript = MockHost::new()
        .model(Answer::call("subtract", json!({})))
        .model("I cannot.")
        .run(clerk, "subtract");
    let Part::ToolResult(result) = &transcript.requests[1].messages[3].parts[0] else {
        panic!()
    };
    assert!(result.failed);
    assert_eq!(
        result.content,
        "there is no tool `subtract`; the tools are: add, broken"
    );
    assert_eq!(
        transcript.tool_calls(),
        [],
        "what is no tool of the agent did not run"
    );
}

#[test]
fn a_call_that_keeps_failing_is_not_run_again() {
    let host = MockHost::new()
        .model(Answer::call("broken", json!({})))
        .model(Answer::call("broken", json!({})))
        .model(Answer::call("broken", json!({})))
        .model("It is out of order.");
    let transcript = host.run(clerk, "try");
    assert_eq!(transcript.tool_calls().len(), 2);
    assert_eq!(transcript.log.len(), 1);
    assert_eq!(transcript.outcome, Ok(Outcome::EndTurn));
}

#[test]
fn the_loop_is_bounded_and_leaves_no_answer_unread() {
    let mut host = MockHost::new();
    for a in 0..5 {
        host = host.model(Answer::call("add", json!({"a": a, "b": 1})));
    }
    let transcript = host.run(clerk, "count");
    assert_eq!(transcript.outcome, Ok(Outcome::MaxIterations));
    assert_eq!(
        (transcript.requests.len(), transcript.tool_calls().len()),
        (4, 3)
    );
    assert_eq!(transcript.answers_left, 1);
}

#[test]
fn a_long_conversation_is_sent_from_its_newest_end() {
    let mut host = MockHost::new().model("?");
    for number in 0..300 {
        host = host.history(&format!("question {number}"), &"x".repeat(4096));
    }
    let transcript = host.run(clerk, "and now?");
    let messages = &transcript.requests[0].messages;
    assert!(messages.len() < 150, "{}", messages.len());
    assert_eq!(messages.last().unwrap().parts, [Part::from("and now?")]);
    let bytes: usize = messages
        .iter()
        .flat_map(|message| &message.parts)
        .map(|part| match part {
            Part::Text(text) => text.len(),
            _ => 0,
        })
        .sum();
    assert!(bytes < 300 * 1024, "{bytes}");
}

#[test]
#[should_panic(expected = "the agent asked for generation 1, and MockHost has no answer for it")]
fn no_model_is_reachable_but_the_script() {
    MockHost::new().run(clerk, "hello");
}
