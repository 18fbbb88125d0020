//! Generations by a language model: what to ask, and the answer as it streams in. The agent loop asks here; an
//! author who replaces it asks the same way. The host owns the connection, its key and its token count.

use crate::error::{Error, Result};
use crate::host;
use crate::tools::Tool;

/// Who a message is from, in the model's terms.
///
/// ```
/// use bulkhead_sdk::model::{Message, Role};
///
/// assert_eq!(Message::system("Answer in one line.").role, Role::System);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the model is told to be.
    System,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// Answers to tool calls, and nothing else.
    Tool,
}

/// A passage of knowledge the model may answer from.
///
/// ```
/// use bulkhead_sdk::model::Passage;
///
/// let passage = Passage { number: 1, title: "Limits".to_owned(), text: "Each run has fuel.".to_owned() };
/// assert_eq!(passage.number, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The number it is cited by in the answer, from 1, as in `[1]`.
    pub number: u32,
    /// Where it is from.
    pub title: String,
    /// What it says.
    pub text: String,
}

/// A call the model asks for.
///
/// ```
/// use bulkhead_sdk::model::ToolCall;
///
/// let call = ToolCall { id: "1".to_owned(), name: "add".to_owned(), arguments: "{}".to_owned() };
/// assert_eq!(call.name, "add");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The model's id of the call.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// A JSON object, as the model wrote it.
    pub arguments: String,
}

/// The answer to a tool call.
///
/// ```
/// use bulkhead_sdk::model::ToolResult;
///
/// let result = ToolResult { id: "1".to_owned(), content: "no such city".to_owned(), failed: true };
/// assert!(result.failed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// The id of the call.
    pub id: String,
    /// What the tool answered: text or JSON.
    pub content: String,
    /// Whether the tool failed.
    pub failed: bool,
}

/// One part of a message.
///
/// ```
/// use bulkhead_sdk::model::Part;
///
/// assert_eq!(Part::from("hello"), Part::Text("hello".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(String),
    /// Passages to answer from; at most 32.
    Passages(Vec<Passage>),
    /// A call the model asked for.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// One message to the model.
///
/// ```
/// use bulkhead_sdk::model::{Message, Part};
///
/// let message = Message::user("What is two and two?");
/// assert_eq!(message.parts, [Part::from("What is two and two?")]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who it is from.
    pub role: Role,
    /// What it holds.
    pub parts: Vec<Part>,
}

impl Message {
    /// What the model is told to be.
    #[must_use]
    pub fn system(text: &str) -> Self {
        Self {
            role: Role::System,
            parts: vec![text.into()],
        }
    }

    /// What the person said.
    #[must_use]
    pub fn user(text: &str) -> Self {
        Self {
            role: Role::User,
            parts: vec![text.into()],
        }
    }

    /// What the model said.
    #[must_use]
    pub fn assistant(text: &str) -> Self {
        Self {
            role: Role::Assistant,
            parts: vec![text.into()],
        }
    }

    /// What tools answered.
    #[must_use]
    pub fn tool(results: Vec<ToolResult>) -> Self {
        Self {
            role: Role::Tool,
            parts: results.into_iter().map(Part::ToolResult).collect(),
        }
    }
}

/// What to generate from; with everything in it, at most 1 MiB.
///
/// ```
/// use bulkhead_sdk::model::{Message, Request};
///
/// let request = Request { max_tokens: Some(64), ..Request::new(vec![Message::user("Hello!")]) };
/// assert_eq!(request.model, None);
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    /// The model alias; `None` is the one the manifest names.
    pub model: Option<String>,
    /// At most 1,000.
    pub messages: Vec<Message>,
    /// Tools the model may ask for, at most 64.
    pub tools: Vec<Tool>,
    /// The most tokens to generate; `None` leaves it to the connection.
    pub max_tokens: Option<u32>,
}

impl Request {
    /// Asks the manifest's model to go on from these messages.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Self {
            model: None,
            messages,
            tools: Vec::new(),
            max_tokens: None,
        }
    }
}

/// Why a generation ended.
///
/// ```
/// use bulkhead_sdk::model::FinishReason;
///
/// assert_ne!(FinishReason::Stop, FinishReason::MaxTokens);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model said what it had to say.
    Stop,
    /// It waits for the answers to its tool calls.
    ToolCalls,
    /// It was cut by the token limit.
    MaxTokens,
    /// It refused.
    Refused,
}

/// Tokens as the provider counted them.
///
/// ```
/// use bulkhead_sdk::model::Usage;
///
/// let usage = Usage { input_tokens: 12, output_tokens: 3, estimated: false };
/// assert_eq!(usage.input_tokens + usage.output_tokens, 15);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What was read.
    pub input_tokens: u64,
    /// What was written.
    pub output_tokens: u64,
    /// The provider gave no count and the host estimated.
    pub estimated: bool,
}

/// How a generation ended.
///
/// ```
/// use bulkhead_sdk::model::{Finish, FinishReason, Usage};
///
/// let finish = Finish { reason: FinishReason::Stop, usage: Usage::default() };
/// assert_eq!(finish.reason, FinishReason::Stop);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    /// Why it ended.
    pub reason: FinishReason,
    /// What it used.
    pub usage: Usage,
}

/// One piece of a generation.
///
/// ```
/// use bulkhead_sdk::model::Chunk;
///
/// assert_eq!(Chunk::Text("Hel".to_owned()), Chunk::Text("Hel".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// More text, never empty.
    Text(String),
    /// One whole tool call.
    ToolCall(ToolCall),
    /// The end; nothing follows.
    Finish(Finish),
}

/// A generation in progress, taken piece by piece as an iterator. Dropping it closes the connection to the provider.
///
/// ```
/// use bulkhead_sdk::model::{self, Chunk, Message, Request};
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, output};
///
/// fn parrot(turn: Turn) -> Result<Outcome> {
///     for chunk in model::generate(&Request::new(vec![Message::user(turn.text())]))? {
///         if let Chunk::Text(delta) = chunk? {
///             output::text(&delta);
///         }
///     }
///     Ok(Outcome::EndTurn)
/// }
///
/// assert_eq!(MockHost::new().model("Two is two.").run(parrot, "2?").text(), "Two is two.");
/// ```
pub struct Generation {
    inner: host::Generation,
    ended: bool,
}

impl Generation {
    /// Takes everything and answers the text, for an author who does not stream.
    ///
    /// # Errors
    /// Those of the model, and [`Broken`](Error::Broken) for a generation that ends without saying how.
    ///
    /// ```
    /// use bulkhead_sdk::model::{self, FinishReason, Message, Request};
    /// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, output};
    ///
    /// fn shout(turn: Turn) -> Result<Outcome> {
    ///     let request = Request::new(vec![Message::user(turn.text())]);
    ///     let (text, finish) = model::generate(&request)?.text()?;
    ///     assert_eq!(finish.reason, FinishReason::Stop);
    ///     output::text(&text.to_uppercase());
    ///     Ok(Outcome::EndTurn)
    /// }
    ///
    /// assert_eq!(MockHost::new().model("be quiet").run(shout, "hey").text(), "BE QUIET");
    /// ```
    pub fn text(self) -> Result<(String, Finish)> {
        let mut text = String::new();
        for chunk in self {
            match chunk? {
                Chunk::Text(delta) => text.push_str(&delta),
                Chunk::ToolCall(_) => {}
                Chunk::Finish(finish) => return Ok((text, finish)),
            }
        }
        Err(Error::Broken("it ended without saying how".to_owned()))
    }
}

impl Iterator for Generation {
    type Item = Result<Chunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.inner.next().transpose();
        self.ended = !matches!(next, Some(Ok(Chunk::Text(_) | Chunk::ToolCall(_))));
        next
    }
}

/// Starts a generation.
///
/// # Errors
/// Every variant of [`Error`] that tells of the model, and [`Invalid`](Error::Invalid).
///
/// ```
/// use bulkhead_sdk::mock::{Answer, MockHost};
/// use bulkhead_sdk::model::{self, Message, Request};
/// use bulkhead_sdk::{Error, Outcome, Result, Turn, output};
///
/// fn patient(turn: Turn) -> Result<Outcome> {
///     match model::generate(&Request::new(vec![Message::user(turn.text())])) {
///         Ok(generation) => output::text(&generation.text()?.0),
///         Err(Error::RateLimited(_)) => output::text("Ask me again later."),
///         Err(error) => return Err(error),
///     }
///     Ok(Outcome::EndTurn)
/// }
///
/// let host = MockHost::new().model(Answer::error(Error::RateLimited(None)));
/// assert_eq!(host.run(patient, "hello?").text(), "Ask me again later.");
/// ```
pub fn generate(request: &Request) -> Result<Generation> {
    Ok(Generation {
        inner: host::generate(request)?,
        ended: false,
    })
}
