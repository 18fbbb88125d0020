//! The agent's own tools: functions of the guest that a model may call. `#[tool]` makes a [`Tool`] of a function,
//! the agent loop runs them, and what they were asked and answered becomes events of the run.

mod arguments;

use std::collections::BTreeMap;

pub use arguments::{Answer, Args, Argument};
#[doc(hidden)]
pub use arguments::{Object, Properties, answer, schema_of, whole};

use crate::error::Result;
use crate::host;
use crate::model::{ToolCall, ToolResult};

/// How often one call may fail before it is not run again.
const FAILURES_ALLOWED: u32 = 2;

/// What a model is shown of a tool's answer, in characters.
const ANSWER_CHARS: usize = 12_000;

/// What a call changes outside the agent.
///
/// ```
/// use bulkhead_sdk::tools::Effect;
///
/// assert_eq!(Effect::default(), Effect::Read);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing. A function that stays inside the guest can do no more, so it is the default.
    #[default]
    Read,
    /// Something that can be changed back.
    Mutate,
    /// Something that cannot.
    Destructive,
}

/// A tool of this agent: what a model is told of it, and the function behind it. `#[tool]` writes it.
///
/// ```
/// use bulkhead_sdk::{Result, tool};
///
/// /// Adds two whole numbers.
/// #[tool]
/// fn add(
///     /// The first.
///     a: i64,
///     /// The second.
///     b: i64,
/// ) -> Result<i64> {
///     Ok(a.checked_add(b).ok_or("the sum is too large")?)
/// }
///
/// assert_eq!(add(1, 2), Ok(3)); // still an ordinary function
/// assert_eq!((add::TOOL.name, add::TOOL.description), ("add", "Adds two whole numbers."));
/// assert_eq!((add::TOOL.call)(r#"{"a": 1, "b": 2}"#), Ok("3".to_owned()));
/// assert!((add::TOOL.input_schema)().contains(r#""required":["a","b"]"#));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// `^[a-zA-Z0-9_-]{1,64}$`, unique within the agent.
    pub name: &'static str,
    /// What the model reads to decide when to call it.
    pub description: &'static str,
    /// What a call changes outside the agent.
    pub effect: Effect,
    /// Writes the JSON Schema (2020-12) of the arguments.
    pub input_schema: fn() -> String,
    /// Runs the tool on a JSON object, as the model wrote it. The error is for the model to read.
    pub call: fn(&str) -> Result<String, String>,
    /// How the call is reported. It stands here so that only a component with tools imports the host's `tools`.
    run: fn(&Self, &str, &mut Failures) -> Result<String, String>,
}

/// How often each call failed, by its tool and its arguments.
type Failures = BTreeMap<(&'static str, String), u32>;

impl Tool {
    /// A tool, as `#[tool]` makes it, for an author who writes schema and call by hand.
    ///
    /// ```
    /// use bulkhead_sdk::tools::{Effect, Tool};
    ///
    /// const PING: Tool = Tool::new(
    ///     "ping",
    ///     "Answers pong.",
    ///     Effect::Read,
    ///     || r#"{"type":"object"}"#.to_owned(),
    ///     |_| Ok("pong".to_owned()),
    /// );
    /// assert_eq!((PING.call)("{}"), Ok("pong".to_owned()));
    /// ```
    #[must_use]
    pub const fn new(
        name: &'static str,
        description: &'static str,
        effect: Effect,
        input_schema: fn() -> String,
        call: fn(&str) -> Result<String, String>,
    ) -> Self {
        Self {
            name,
            description,
            effect,
            input_schema,
            call,
            run: reported,
        }
    }
}

/// Runs the calls of one run: looks the tool up, reports the call, and cuts a call that keeps failing the same way.
///
/// ```
/// use bulkhead_sdk::model::ToolCall;
/// use bulkhead_sdk::tools::Calls;
/// use bulkhead_sdk::{Outcome, Result, Turn, agent, mock::MockHost, output, tool};
///
/// /// Says how long a word is.
/// #[tool]
/// fn length(word: String) -> Result<usize> {
///     Ok(word.chars().count())
/// }
///
/// #[agent(tools(length))]
/// fn measure(turn: Turn) -> Result<Outcome> {
///     let arguments = format!(r#"{{"word": "{}"}}"#, turn.text());
///     let call = ToolCall { id: "1".to_owned(), name: "length".to_owned(), arguments };
///     output::text(&Calls::of(turn.tools()).run(&call).content);
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().run(measure, "bulkhead");
/// assert_eq!(transcript.text(), "8");
/// assert_eq!(transcript.tool_calls()[0].name, "length");
/// ```
#[derive(Debug)]
pub struct Calls<'a> {
    tools: &'a [Tool],
    failures: Failures,
}

impl<'a> Calls<'a> {
    /// Calls of these tools.
    #[must_use]
    pub fn of(tools: &'a [Tool]) -> Self {
        Self {
            tools,
            failures: Failures::new(),
        }
    }

    /// Runs a call. A failure of the tool is a result that says so: the model may do better.
    pub fn run(&mut self, call: &ToolCall) -> ToolResult {
        let answer = match self.tools.iter().find(|tool| tool.name == call.name) {
            Some(tool) => (tool.run)(tool, &call.arguments, &mut self.failures),
            None => Err(self.unknown(&call.name)),
        };
        let failed = answer.is_err();
        let content = clamped(answer.unwrap_or_else(|error| error));
        ToolResult {
            id: call.id.clone(),
            content,
            failed,
        }
    }

    fn unknown(&self, name: &str) -> String {
        let names: Vec<_> = self.tools.iter().map(|tool| tool.name).collect();
        if names.is_empty() {
            format!("there is no tool `{name}`: this agent has no tools")
        } else {
            format!(
                "there is no tool `{name}`; the tools are: {}",
                names.join(", ")
            )
        }
    }
}

/// States that a tool of this agent starts, and answers the call's number within the run. [`Calls`] does this by itself.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, tools};
///
/// fn looks(_: Turn) -> Result<Outcome> {
///     let call = tools::started("look", r#"{"at": "the sky"}"#);
///     tools::finished(call, Ok("blue"));
///     Ok(Outcome::EndTurn)
/// }
///
/// let call = &MockHost::new().run(looks, "well?").tool_calls()[0];
/// assert_eq!((call.name.as_str(), call.answer.as_deref()), ("look", Ok("blue")));
/// ```
pub fn started(name: &str, arguments: &str) -> u32 {
    host::tool_started(name, arguments)
}

/// States what the call answered; `Err` where the tool failed. [`Calls`] does this by itself.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, tools};
///
/// fn looks(_: Turn) -> Result<Outcome> {
///     tools::finished(tools::started("look", "{}"), Err("it is dark"));
///     Ok(Outcome::EndTurn)
/// }
///
/// let calls = MockHost::new().run(looks, "well?").tool_calls();
/// assert_eq!(calls[0].answer, Err("it is dark".to_owned()));
/// ```
pub fn finished(call: u32, answer: Result<&str, &str>) {
    host::tool_finished(call, answer);
}

/// Runs a call and states it, unless it failed too often before.
fn reported(tool: &Tool, arguments: &str, failures: &mut Failures) -> Result<String, String> {
    let failures = failures
        .entry((tool.name, canonical(arguments)))
        .or_default();
    if *failures >= FAILURES_ALLOWED {
        crate::log::warn(&format!(
            "`{}` is not run again with {arguments}",
            tool.name
        ));
        return Err(format!(
            "this call failed {failures} times and was not run again: change the arguments or answer without `{}`",
            tool.name
        ));
    }
    let number = started(tool.name, arguments);
    let answer = (tool.call)(arguments);
    finished(number, answer.as_deref().map_err(String::as_str));
    *failures = if answer.is_ok() { 0 } else { *failures + 1 };
    answer
}

/// The arguments with their keys in one order, so that the same call looks the same.
fn canonical(arguments: &str) -> String {
    serde_json::from_str::<serde_json::Value>(arguments)
        .map_or_else(|_| arguments.to_owned(), |value| value.to_string())
}

fn clamped(mut content: String) -> String {
    if let Some((cut, _)) = content.char_indices().nth(ANSWER_CHARS) {
        let left_out = content[cut..].chars().count();
        content.truncate(cut);
        content.push_str(&format!("\n[cut: {left_out} more characters]"));
    }
    content
}
