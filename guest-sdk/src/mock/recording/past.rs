//! The recorded steps as answers: each call of the agent takes the next one of its kind. Another question is noted and
//! answered as recorded; where there is no answer, the test ends with everything that differs.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Difference, Step, told, words};
use crate::clock::Instant;
use crate::error::Error;
use crate::knowledge::{Hit, Query};
use crate::model::{self, Chunk, Finish, FinishReason, Part, Request, ToolCall, Usage};

/// What an agent asks of its host. Other steps are the host's own, such as the verdicts of guardrail components.
const ASKED: [&str; 3] = [GENERATE, SEARCH, SLEEP];
/// And what it asks its memory.
const MEMORY: &str = "memory.";
const GENERATE: &str = "model.generate";
const SEARCH: &str = "knowledge.search";
const SLEEP: &str = "clock.sleep";

/// What is left of a recording while its agent runs.
pub(in crate::mock) struct Past {
    from: String,
    steps: VecDeque<Step>,
    taken: usize,
    hits: usize,
    pub(super) differences: Vec<Difference>,
}

/// An answer and the moment it came.
pub(in crate::mock) type At<T> = (T, Instant);

impl Past {
    pub(super) fn of(from: &str, steps: &[Step]) -> Self {
        let asked =
            |step: &&Step| ASKED.contains(&step.kind.as_str()) || step.kind.starts_with(MEMORY);
        Self {
            from: from.to_owned(),
            steps: steps.iter().filter(asked).cloned().collect(),
            taken: 0,
            hits: 0,
            differences: Vec::new(),
        }
    }

    /// Steps that the agent did not ask for.
    pub(super) fn rest(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.kind.as_str()).collect()
    }

    pub(in crate::mock) fn generation(
        &mut self,
        request: &Request,
    ) -> At<Result<VecDeque<Result<Chunk, Error>>, Error>> {
        let step = self.take(GENERATE);
        let (recorded, mut asked) = (&step.request["request"], asked(request));
        // A guardrail may have lowered what the agent asked for.
        let (most, wanted) = (recorded["max_tokens"].as_u64(), request.max_tokens);
        if most.is_some_and(|most| wanted.is_none_or(|wanted| most <= wanted.into())) {
            asked["max_tokens"] = json!(most);
        }
        if *recorded != asked {
            self.differs(GENERATE, &words::request(recorded), &words::request(&asked));
        }
        let answered: Answered<Generated, ModelError> = self.read(&step);
        let answer = match answered {
            Answered::Ok(Generated { chunks, error }) => {
                let broken = error.map(|error| Err(error.into()));
                let pieces = chunks.into_iter().map(|piece| Ok(piece.into()));
                Ok(pieces.chain(broken).collect())
            }
            Answered::Err(error) => Err(error.into()),
        };
        (answer, step.ended_at())
    }

    pub(in crate::mock) fn search(&mut self, query: &Query) -> At<Result<Vec<Hit>, Error>> {
        let step = self.take(SEARCH);
        let asked = json!({ "text": query.text, "limit": query.limit, "tags": query.tags });
        if step.request != asked {
            self.differs(SEARCH, &words::query(&step.request), &words::query(&asked));
        }
        let answered: Answered<Vec<Found>, SearchError> = self.read(&step);
        let answer = match answered {
            Answered::Ok(found) => Ok(found.into_iter().map(|found| self.hit(found)).collect()),
            Answered::Err(SearchError::Invalid(text)) => Err(Error::Invalid(text)),
            Answered::Err(SearchError::Unavailable(text)) => Err(Error::Unavailable(text)),
        };
        (answer, step.ended_at())
    }

    pub(in crate::mock) fn sleep(&mut self, duration: Duration) -> Instant {
        let step = self.take(SLEEP);
        let recorded = step.request["milliseconds"].as_u64().unwrap_or_default();
        let asked = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if recorded != asked {
            self.differs(SLEEP, &format!("{recorded} ms"), &format!("{asked} ms"));
        }
        match self.read::<Answered<u64, String>>(&step) {
            Answered::Ok(woken) => Instant::from_unix_milliseconds(woken),
            Answered::Err(_) => step.ended_at(),
        }
    }

    /// A call of the memory, by its kind.
    pub(in crate::mock) fn memory<T: DeserializeOwned>(
        &mut self,
        kind: &str,
        asked: &Value,
    ) -> At<Result<T, Error>> {
        let step = self.take(kind);
        if step.request != *asked {
            self.differs(kind, &step.request.to_string(), &asked.to_string());
        }
        let answer = match self.read(&step) {
            Answered::Ok(answer) => Ok(answer),
            Answered::Err(MemoryError::Invalid(text)) => Err(Error::Invalid(text)),
            Answered::Err(MemoryError::Full(text)) => Err(Error::Full(text)),
            Answered::Err(MemoryError::Unavailable(text)) => Err(Error::Unavailable(text)),
        };
        (answer, step.ended_at())
    }

    /// Handles count the hits of the run, as the host's do.
    fn hit(&mut self, found: Found) -> Hit {
        self.hits += 1;
        Hit {
            handle: format!("hit-{}", self.hits),
            title: found.title,
            heading: found.heading,
            text: found.text,
            score: found.score,
        }
    }

    fn take(&mut self, kind: &str) -> Step {
        self.taken += 1;
        let number = self.taken;
        match self.steps.pop_front() {
            Some(step) if step.kind == kind => step,
            Some(step) => self.stop(&format!(
                "call {number} of the agent was `{}`, and now it asks `{kind}`",
                step.kind
            )),
            None => self.stop(&format!(
                "the agent asks `{kind}` as its call {number}, and there were only {}",
                number - 1
            )),
        }
    }

    fn differs(&mut self, kind: &str, recorded: &str, asked: &str) {
        self.differences.push(Difference {
            what: format!("call {} (`{kind}`)", self.taken),
            diff: words::diff(recorded, asked),
        });
    }

    fn read<T: DeserializeOwned>(&self, step: &Step) -> T {
        T::deserialize(&step.response).unwrap_or_else(|error| {
            self.stop(&format!(
                "the answer to call {} cannot be given again: {error}",
                self.taken
            ))
        })
    }

    /// Nothing more can be answered: the test ends here.
    fn stop(&self, why: &str) -> ! {
        let end = Difference {
            what: format!("the recording has no answer: {why}"),
            diff: String::new(),
        };
        let all: Vec<_> = self.differences.iter().cloned().chain([end]).collect();
        panic!("{}", told(&self.from, &all));
    }
}

/// A request as the host records it.
fn asked(request: &Request) -> Value {
    let messages: Vec<Value> = request.messages.iter().map(message).collect();
    let tools = request.tools.iter().map(|tool| {
        let schema = (tool.input_schema)();
        json!({ "name": tool.name, "description": tool.description, "input_schema": schema })
    });
    json!({
        "model": request.model,
        "messages": messages,
        "tools": tools.collect::<Vec<_>>(),
        "max_tokens": request.max_tokens,
    })
}

fn message(message: &model::Message) -> Value {
    let parts: Vec<Value> = message.parts.iter().map(part).collect();
    json!({ "role": format!("{:?}", message.role), "parts": parts })
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({ "Text": text }),
        Part::Passages(passages) => {
            let each = passages.iter().map(
                |passage| json!({ "number": passage.number, "title": passage.title, "text": passage.text }),
            );
            json!({ "Passages": each.collect::<Vec<_>>() })
        }
        Part::ToolCall(call) => {
            json!({ "ToolCall": { "id": call.id, "name": call.name, "arguments": call.arguments } })
        }
        Part::ToolResult(result) => {
            json!({ "ToolResult": { "id": result.id, "content": result.content, "failed": result.failed } })
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answered<A, E> {
    Ok(A),
    Err(E),
}

#[derive(Deserialize)]
struct Generated {
    chunks: Vec<Piece>,
    error: Option<ModelError>,
}

#[derive(Deserialize)]
enum Piece {
    Text(String),
    ToolCall(Call),
    Finish(End),
}

#[derive(Deserialize)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct End {
    reason: Reason,
    usage: Tokens,
}

#[derive(Deserialize)]
enum Reason {
    Stop,
    ToolCalls,
    MaxTokens,
    Refused,
}

#[derive(Deserialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    estimated: bool,
}

#[derive(Deserialize)]
enum ModelError {
    Invalid(String),
    UnknownModel(String),
    RateLimited(Option<u64>),
    Provider(String),
    Broken(String),
}

#[derive(Deserialize)]
enum SearchError {
    Invalid(String),
    Unavailable(String),
}

#[derive(Deserialize)]
enum MemoryError {
    Invalid(String),
    Full(String),
    Unavailable(String),
}

#[derive(Deserialize)]
struct Found {
    title: String,
    heading: String,
    text: String,
    score: f64,
}

impl From<Piece> for Chunk {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Text(text) => Self::Text(text),
            Piece::ToolCall(call) => Self::ToolCall(ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.arguments,
            }),
            Piece::Finish(End { reason, usage }) => Self::Finish(Finish {
                reason: match reason {
                    Reason::Stop => FinishReason::Stop,
                    Reason::ToolCalls => FinishReason::ToolCalls,
                    Reason::MaxTokens => FinishReason::MaxTokens,
                    Reason::Refused => FinishReason::Refused,
                },
                usage: Usage {
                    input_tokens: usage.input_tokens,
                    output_tokens: usage.output_tokens,
                    estimated: usage.estimated,
                },
            }),
        }
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Invalid(text) => Self::Invalid(text),
            ModelError::UnknownModel(text) => Self::UnknownModel(text),
            ModelError::RateLimited(wait) => Self::RateLimited(wait.map(Duration::from_millis)),
            ModelError::Provider(text) => Self::Provider(text),
            ModelError::Broken(text) => Self::Broken(text),
        }
    }
}
