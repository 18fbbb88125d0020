//! What a run is given and how it ends: the values every agent function takes and answers.
//! The host's turn becomes a [`Turn`] in `host/component.rs`, the mock's in `mock/`.

use crate::clock::Instant;
use crate::tools::Tool;

/// Who said a message.
///
/// ```
/// use bulkhead_sdk::Speaker;
///
/// assert_ne!(Speaker::User, Speaker::Assistant);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The person or program that asks.
    User,
    /// The agent.
    Assistant,
}

/// One message of the conversation.
///
/// ```
/// use bulkhead_sdk::{Message, Speaker};
///
/// let message = Message { speaker: Speaker::User, text: "hello?".to_owned() };
/// assert_eq!(message.text, "hello?");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said, at most 1 MiB.
    pub text: String,
}

/// What a run is given: the conversation so far, with the message to answer last.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, output};
///
/// fn echo(turn: Turn) -> Result<Outcome> {
///     output::text(&format!("{} (after {} messages)", turn.text(), turn.messages().len() - 1));
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().history("hi", "Hello.").run(echo, "still there?");
/// assert_eq!(transcript.text(), "still there? (after 2 messages)");
/// ```
#[derive(Clone, Debug)]
pub struct Turn {
    run: String,
    messages: Vec<Message>,
    started_at: Instant,
    tools: &'static [Tool],
}

impl Turn {
    pub(crate) fn new(run: String, messages: Vec<Message>, started_at: Instant) -> Self {
        Self {
            run,
            messages,
            started_at,
            tools: &[],
        }
    }

    /// The run's id, `run_` and 32 hexadecimal digits.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The message to answer.
    #[must_use]
    pub fn text(&self) -> &str {
        self.messages.last().map_or("", |message| &message.text)
    }

    /// The conversation, oldest first, the message to answer last; at most 1,000 messages.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// When the run started: the frozen clock's first reading.
    #[must_use]
    pub fn started_at(&self) -> Instant {
        self.started_at
    }

    /// The tools that `#[agent(tools(…))]` names.
    #[must_use]
    pub fn tools(&self) -> &'static [Tool] {
        self.tools
    }

    #[doc(hidden)]
    #[must_use]
    pub fn offering(mut self, tools: &'static [Tool]) -> Self {
        self.tools = tools;
        self
    }
}

/// How an agent ended its turn.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost};
///
/// fn silent(_: Turn) -> Result<Outcome> {
///     Ok(Outcome::EndTurn)
/// }
///
/// assert_eq!(MockHost::new().run(silent, "hello?").outcome, Ok(Outcome::EndTurn));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It said what it had to say.
    EndTurn,
    /// The model's answer was cut by its token limit.
    MaxTokens,
    /// The agent loop reached its bound of iterations.
    MaxIterations,
}
