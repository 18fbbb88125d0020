//! The ready agent loop: search, generate, call tools, repeat, bounded; the answer streams out as it comes, with its
//! citations. Agent functions run it; whoever wants another loop writes it with the same public primitives.

mod citations;
mod manifest;

use citations::Citations;
pub use manifest::{Manifest, ToolManifest};

use crate::error::{Error, Result};
use crate::knowledge::{self, Hit, Query};
use crate::model::{self, Chunk, FinishReason, Message, Part, Passage, Request, Role, ToolCall};
use crate::output;
use crate::tools::{Calls, Tool};
use crate::turn::{self, Outcome, Speaker, Turn};

/// What is sent of earlier messages, so that a long conversation stays below what a request may hold.
const HISTORY_BYTES: usize = 256 * 1024;
const HISTORY_MESSAGES: usize = 200;

const CITE: &str = "Passages from the organization's knowledge come with the question. Cite each \
    statement you take from one by the passage's number in brackets, as in [1].";
const NOTHING_FOUND: &str = "The organization's knowledge was searched for this question and no \
    passage matches it. Say so, and do not answer from memory.";

/// What `#[agent]` implements, and what the component's exports are made of.
#[doc(hidden)]
pub trait Entry {
    fn manifest() -> Manifest;
    fn run(turn: Turn) -> Result<Outcome>;
}

/// The ready loop: searches knowledge, asks the model, runs the tools it calls and asks again, until it has answered.
///
/// The model's text streams to [`output`]. Where it cites a passage, as in `[1]`, the citation follows the text
/// that completes the marker, once per passage. A tool that fails is a result the model reads; a call that keeps
/// failing the same way is not run again.
///
/// ```
/// use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent, mock::MockHost};
///
/// /// Answers from the handbook.
/// #[agent]
/// fn support(turn: Turn) -> Result<Outcome> {
///     Agent::new("Answer from the passages only.").knowledge(4).run(&turn)
/// }
///
/// let transcript = MockHost::new()
///     .knowledge("Cancelling", "Press Ctrl-C to stop a run.")
///     .model("Press Ctrl-C [1].")
///     .run(support, "how do i stop a run??");
/// assert_eq!(transcript.text(), "Press Ctrl-C [1].");
/// assert_eq!(transcript.citations()[0].title, "Cancelling");
/// ```
#[derive(Clone, Debug)]
pub struct Agent {
    instructions: String,
    model: Option<String>,
    search: Option<Search>,
    tools: Vec<Tool>,
    max_iterations: u32,
    max_tokens: Option<u32>,
}

/// How knowledge is searched.
#[derive(Clone, Debug)]
struct Search {
    query: Query,
    /// `knowledge::search`, held as a value so that only an agent that asks for passages imports it.
    by: fn(&Query) -> Result<Vec<Hit>>,
}

/// What one generation came to.
struct Answer {
    text: String,
    calls: Vec<ToolCall>,
    reason: FinishReason,
}

impl Agent {
    /// An agent that follows these instructions: no knowledge, the turn's tools, at most eight generations.
    #[must_use]
    pub fn new(instructions: impl Into<String>) -> Self {
        Self {
            instructions: instructions.into(),
            model: None,
            search: None,
            tools: Vec::new(),
            max_iterations: 8,
            max_tokens: None,
        }
    }

    /// Searches knowledge with the message to answer and gives the model this many passages, 1 to 32.
    #[must_use]
    pub fn knowledge(self, passages: u32) -> Self {
        self.passages(Query::new("").limit(passages))
    }

    /// Searches knowledge as [`knowledge`](Self::knowledge) does, with this query's limit and tags.
    #[must_use]
    pub fn passages(mut self, query: Query) -> Self {
        self.search = Some(Search {
            query,
            by: knowledge::search,
        });
        self
    }

    /// Asks the model behind this alias instead of the manifest's.
    #[must_use]
    pub fn model(mut self, alias: impl Into<String>) -> Self {
        self.model = Some(alias.into());
        self
    }

    /// Offers these tools beside those that `#[agent(tools(…))]` names.
    #[must_use]
    pub fn tools(mut self, tools: &[Tool]) -> Self {
        self.tools.extend_from_slice(tools);
        self
    }

    /// Asks the model at most this often in one run; at least once.
    #[must_use]
    pub fn max_iterations(mut self, iterations: u32) -> Self {
        self.max_iterations = iterations.max(1);
        self
    }

    /// Asks for at most this many tokens each time.
    #[must_use]
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Answers the turn.
    ///
    /// # Errors
    /// Those of the model and of knowledge. What was said before stays said.
    pub fn run(&self, turn: &Turn) -> Result<Outcome> {
        let hits = self.search(turn)?;
        let tools = [turn.tools(), &self.tools].concat();
        let mut calls = Calls::of(&tools);
        let mut citations = Citations::of(&hits);
        let mut request = Request {
            model: self.model.clone(),
            messages: self.opening(turn, &hits),
            tools: tools.clone(),
            max_tokens: self.max_tokens,
        };
        let mut said = false;
        for iteration in 1..=self.max_iterations {
            let answer = stream(&request, &mut citations, said)?;
            said |= !answer.text.is_empty();
            match answer.reason {
                FinishReason::MaxTokens => return Ok(Outcome::MaxTokens),
                FinishReason::Refused if !said => return Err(Error::Refused),
                _ if answer.calls.is_empty() => return Ok(Outcome::EndTurn),
                // No generation would read what the tools answer, so they are not run.
                _ if iteration == self.max_iterations => break,
                _ => {}
            }
            let results = answer.calls.iter().map(|call| calls.run(call)).collect();
            request.messages.push(answer.message());
            request.messages.push(Message::tool(results));
        }
        Ok(Outcome::MaxIterations)
    }

    fn search(&self, turn: &Turn) -> Result<Vec<Hit>> {
        match &self.search {
            Some(Search { query, by }) => by(&Query {
                text: Query::new(turn.text()).text,
                ..query.clone()
            }),
            None => Ok(Vec::new()),
        }
    }

    /// The instructions, the conversation, and the message to answer with the passages found for it.
    fn opening(&self, turn: &Turn, hits: &[Hit]) -> Vec<Message> {
        let mut system = self.instructions.clone();
        if self.search.is_some() {
            system.push_str("\n\n");
            system.push_str(if hits.is_empty() { NOTHING_FOUND } else { CITE });
        }
        let mut messages = vec![Message::system(&system)];
        let (earlier, last) = match turn.messages() {
            [earlier @ .., _] => (earlier, turn.text()),
            [] => (&[][..], ""),
        };
        messages.extend(recent(earlier).iter().map(|message| match message.speaker {
            Speaker::User => Message::user(&message.text),
            Speaker::Assistant => Message::assistant(&message.text),
        }));
        let mut question = Message::user(last);
        // Also where there are none: the model is to know that knowledge was searched.
        if self.search.is_some() {
            question.parts.insert(0, Part::Passages(passages(hits)));
        }
        messages.push(question);
        messages
    }
}

impl Answer {
    fn message(self) -> Message {
        let mut parts = Vec::with_capacity(self.calls.len() + 1);
        if !self.text.is_empty() {
            parts.push(Part::Text(self.text));
        }
        parts.extend(self.calls.into_iter().map(Part::ToolCall));
        Message {
            role: Role::Assistant,
            parts,
        }
    }
}

/// Takes one generation and says its text as it comes, apart from what an earlier one said.
fn stream(request: &Request, citations: &mut Citations<'_>, said: bool) -> Result<Answer> {
    let (mut text, mut calls) = (String::new(), Vec::new());
    citations.restart();
    for chunk in model::generate(request)? {
        match chunk? {
            Chunk::Text(delta) => {
                if said && text.is_empty() {
                    output::text("\n\n");
                }
                output::text(&delta);
                text.push_str(&delta);
                for citation in citations.completed_by(&delta) {
                    output::cite(&citation)?;
                }
            }
            Chunk::ToolCall(call) => calls.push(call),
            Chunk::Finish(finish) => {
                return Ok(Answer {
                    text,
                    calls,
                    reason: finish.reason,
                });
            }
        }
    }
    Err(Error::Broken("it ended without saying how".to_owned()))
}

/// The newest messages that fit.
fn recent(earlier: &[turn::Message]) -> &[turn::Message] {
    let mut left = HISTORY_BYTES;
    let fits = |message: &&turn::Message| {
        let kept = message.text.len() <= left;
        left = left.saturating_sub(message.text.len());
        kept
    };
    let kept = earlier
        .iter()
        .rev()
        .take(HISTORY_MESSAGES)
        .take_while(fits)
        .count();
    &earlier[earlier.len() - kept..]
}

fn passages(hits: &[Hit]) -> Vec<Passage> {
    (1..)
        .zip(hits)
        .map(|(number, hit)| Passage {
            number,
            title: hit.place(),
            text: hit.text.clone(),
        })
        .collect()
}
