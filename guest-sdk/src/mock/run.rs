//! `MockHost`: what a test says beforehand, and the run itself.

use std::collections::VecDeque;

use super::answer::Answer;
use super::host::{self, Host};
use super::memory::Texts;
use super::passages::Passages;
use super::transcript::Transcript;
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::turn::{Message, Outcome, Speaker, Turn};

/// 2026-01-01T00:00:00Z, where a test does not say otherwise.
const STARTED_AT: u64 = 1_767_225_600_000;

/// A host for native tests of agents: scripted model answers, a fixed clock, knowledge in memory, and a record of all
/// that the agent did. Nothing real can be reached.
///
/// ```
/// use bulkhead_sdk::mock::{Answer, MockHost};
/// use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent, clock, tool};
/// use serde_json::json;
///
/// /// Says the time.
/// #[tool]
/// fn time() -> Result<String> {
///     Ok(clock::now().to_string())
/// }
///
/// #[agent(tools(time))]
/// fn watch(turn: Turn) -> Result<Outcome> {
///     Agent::new("Tell the time.").run(&turn)
/// }
///
/// let transcript = MockHost::new()
///     .clock(0)
///     .model(Answer::call("time", json!({})))
///     .model("It is the start of 1970.")
///     .run(watch, "what time is it?");
///
/// assert_eq!(transcript.text(), "It is the start of 1970.");
/// assert_eq!(transcript.tool_calls()[0].answer, Ok("1970-01-01T00:00:00.000Z".to_owned()));
/// assert_eq!(transcript.outcome, Ok(Outcome::EndTurn));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct MockHost {
    answers: VecDeque<Answer>,
    passages: Passages,
    clock: Instant,
    history: Vec<Message>,
    memory: Texts,
    settings: Texts,
}

impl Default for MockHost {
    fn default() -> Self {
        Self {
            answers: VecDeque::new(),
            passages: Passages::default(),
            clock: Instant::from_unix_milliseconds(STARTED_AT),
            history: Vec::new(),
            memory: Texts::new(),
            settings: Texts::new(),
        }
    }
}

impl MockHost {
    /// A host with no model answers, no knowledge, no earlier messages, an empty memory and no settings, at the start of
    /// 2026.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the next generation with this; call it once for each generation the agent makes.
    pub fn model(mut self, answer: impl Into<Answer>) -> Self {
        self.answers.push_back(answer.into());
        self
    }

    /// Adds a passage to the knowledge.
    pub fn knowledge(mut self, title: &str, text: &str) -> Self {
        self.passages.add(title, text);
        self
    }

    /// Lets every search fail with this.
    pub fn knowledge_error(mut self, error: Error) -> Self {
        self.passages.fail(error);
        self
    }

    /// Starts the run at this time, in milliseconds since the start of 1970.
    pub fn clock(mut self, unix_milliseconds: u64) -> Self {
        self.clock = Instant::from_unix_milliseconds(unix_milliseconds);
        self
    }

    /// Adds an earlier question and its answer to the conversation.
    pub fn history(mut self, question: &str, answer: &str) -> Self {
        for (speaker, text) in [(Speaker::User, question), (Speaker::Assistant, answer)] {
            self.history.push(Message {
                speaker,
                text: text.to_owned(),
            });
        }
        self
    }

    /// Adds what earlier runs left in the conversation's memory.
    pub fn memory(mut self, key: &str, value: &str) -> Self {
        self.memory.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds a setting of the version.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs the agent on a question and answers all that it did.
    ///
    /// # Panics
    /// When the agent asks for more generations than there are answers, or does what the real host would not
    /// let it do.
    pub fn run<E: Into<Error>>(
        self,
        agent: impl FnOnce(Turn) -> Result<Outcome, E>,
        question: &str,
    ) -> Transcript {
        let mut messages = self.history;
        messages.push(Message {
            speaker: Speaker::User,
            text: question.to_owned(),
        });
        let turn = Turn::new(format!("run_{:032x}", 1), messages, self.clock);
        let kept = (self.memory, self.settings);
        let host = Host::new(self.answers, self.passages, self.clock, kept);
        host::serve(host, || agent(turn).map_err(Into::into)).0
    }
}
