//! The host's side of the seam inside a component: each call turns SDK types into the generated ones and back.
//! Also makes every `#[agent]` the implementation of the world's exports. Holds no state and decides nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::agent::{Entry, Manifest};
use crate::bindings::bulkhead::agent as wit;
use crate::bindings::{self, Guest};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::knowledge::{Hit, Query};
use crate::log::Level;
use crate::model::{Chunk, Finish, FinishReason, Message, Part, Request, Role, Usage};
use crate::output::Citation;
use crate::turn::{self, Outcome, Speaker, Turn};

/// What a failure may say, by the contract.
const FAILURE_BYTES: usize = 4096;

pub(crate) struct Generation(wit::model::Generation);

impl Generation {
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>> {
        Ok(self.0.next().map_err(model_error)?.map(chunk))
    }
}

impl<T: Entry> Guest for T {
    fn describe() -> bindings::Manifest {
        manifest(T::manifest())
    }

    fn guardrails() -> Vec<String> {
        T::manifest().guardrails
    }

    fn run(turn: bindings::Turn) -> Result<bindings::Outcome, bindings::Failure> {
        match T::run(received(turn)) {
            Ok(Outcome::EndTurn) => Ok(bindings::Outcome::EndTurn),
            Ok(Outcome::MaxTokens) => Ok(bindings::Outcome::MaxTokens),
            Ok(Outcome::MaxIterations) => Ok(bindings::Outcome::MaxIterations),
            Err(error) => Err(failure(&error)),
        }
    }
}

pub(crate) fn generate(request: &Request) -> Result<Generation> {
    let request = wit::model::Request {
        model: request.model.clone(),
        messages: request.messages.iter().map(message).collect(),
        tools: request
            .tools
            .iter()
            .map(|tool| wit::model::Tool {
                name: tool.name.to_owned(),
                description: tool.description.to_owned(),
                input_schema: (tool.input_schema)(),
            })
            .collect(),
        max_tokens: request.max_tokens,
    };
    wit::model::generate(&request)
        .map(Generation)
        .map_err(model_error)
}

pub(crate) fn search(query: &Query) -> Result<Vec<Hit>> {
    let query = wit::knowledge::Query {
        text: query.text.clone(),
        limit: query.limit,
        tags: query.tags.clone(),
    };
    match wit::knowledge::search(&query) {
        Ok(hits) => Ok(hits.into_iter().map(hit).collect()),
        Err(wit::knowledge::Error::Invalid(text)) => Err(Error::Invalid(text)),
        Err(wit::knowledge::Error::Unavailable(text)) => Err(Error::Unavailable(text)),
    }
}

pub(crate) fn remembered(key: &str) -> Result<Option<String>> {
    wit::memory::get(key).map_err(memory_error)
}

pub(crate) fn remember(key: &str, value: &str) -> Result<()> {
    wit::memory::set(key, value).map_err(memory_error)
}

pub(crate) fn forget(key: &str) -> Result<bool> {
    wit::memory::delete(key).map_err(memory_error)
}

pub(crate) fn keys(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
    wit::memory::keys(prefix, after, limit).map_err(memory_error)
}

pub(crate) fn setting(name: &str) -> Option<String> {
    wit::settings::get(name)
}

pub(crate) fn settings() -> BTreeMap<String, String> {
    let all = wit::settings::all().into_iter();
    all.map(|setting| (setting.name, setting.value)).collect()
}

pub(crate) fn text(delta: &str) {
    wit::output::text(delta);
}

pub(crate) fn cite(citation: &Citation) -> Result<()> {
    let citation = wit::output::Citation {
        handle: citation.handle.clone(),
        number: citation.number,
        quote: citation.quote.clone(),
    };
    wit::output::cite(&citation).map_err(|error| match error {
        wit::output::Error::UnknownHandle => Error::UnknownHandle,
        wit::output::Error::NotInPassage => Error::NotInPassage,
    })
}

pub(crate) fn status(text: &str) {
    wit::output::status(text);
}

pub(crate) fn tool_started(name: &str, arguments: &str) -> u32 {
    wit::tools::started(name, arguments)
}

pub(crate) fn tool_finished(call: u32, answer: Result<&str, &str>) {
    let answer = answer.map(str::to_owned).map_err(str::to_owned);
    wit::tools::finished(
        call,
        answer.as_ref().map(String::as_str).map_err(String::as_str),
    );
}

pub(crate) fn now() -> Instant {
    Instant::from_unix_milliseconds(wit::clock::now())
}

pub(crate) fn sleep(duration: Duration) -> Instant {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Instant::from_unix_milliseconds(wit::clock::sleep(milliseconds))
}

pub(crate) fn line(level: Level, text: &str) {
    let level = match level {
        Level::Debug => wit::log::Level::Debug,
        Level::Info => wit::log::Level::Info,
        Level::Warn => wit::log::Level::Warn,
        Level::Error => wit::log::Level::Error,
    };
    wit::log::line(level, text);
}

fn manifest(manifest: Manifest) -> bindings::Manifest {
    bindings::Manifest {
        name: manifest.name,
        description: manifest.description,
        model: manifest.model,
        tools: manifest
            .tools
            .into_iter()
            .map(|tool| wit::types::ToolManifest {
                name: tool.name,
                description: tool.description,
                input_schema: tool.input_schema,
            })
            .collect(),
    }
}

fn received(turn: bindings::Turn) -> Turn {
    let messages = turn
        .messages
        .into_iter()
        .map(|message| turn::Message {
            speaker: match message.speaker {
                wit::types::Speaker::User => Speaker::User,
                wit::types::Speaker::Assistant => Speaker::Assistant,
            },
            text: message.text,
        })
        .collect();
    Turn::new(
        turn.run,
        messages,
        Instant::from_unix_milliseconds(turn.started_at),
    )
}

fn failure(error: &Error) -> bindings::Failure {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(FAILURE_BYTES));
    if error.is_from_model() {
        bindings::Failure::Model(text)
    } else {
        bindings::Failure::Agent(text)
    }
}

fn message(message: &Message) -> wit::model::Message {
    wit::model::Message {
        role: match message.role {
            Role::System => wit::model::Role::System,
            Role::User => wit::model::Role::User,
            Role::Assistant => wit::model::Role::Assistant,
            Role::Tool => wit::model::Role::Tool,
        },
        parts: message.parts.iter().map(part).collect(),
    }
}

fn part(part: &Part) -> wit::model::Part {
    match part {
        Part::Text(text) => wit::model::Part::Text(text.clone()),
        Part::Passages(passages) => wit::model::Part::Passages(
            passages
                .iter()
                .map(|passage| wit::model::Passage {
                    number: passage.number,
                    title: passage.title.clone(),
                    text: passage.text.clone(),
                })
                .collect(),
        ),
        Part::ToolCall(call) => wit::model::Part::ToolCall(wit::model::ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            arguments: call.arguments.clone(),
        }),
        Part::ToolResult(result) => wit::model::Part::ToolResult(wit::model::ToolResult {
            id: result.id.clone(),
            content: result.content.clone(),
            failed: result.failed,
        }),
    }
}

fn hit(hit: wit::knowledge::Hit) -> Hit {
    Hit {
        handle: hit.handle,
        title: hit.title,
        heading: hit.heading,
        text: hit.text,
        score: hit.score,
    }
}

fn chunk(chunk: wit::model::Chunk) -> Chunk {
    match chunk {
        wit::model::Chunk::Text(text) => Chunk::Text(text),
        wit::model::Chunk::ToolCall(call) => Chunk::ToolCall(crate::model::ToolCall {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }),
        wit::model::Chunk::Finish(finish) => Chunk::Finish(Finish {
            reason: match finish.reason {
                wit::model::FinishReason::Stop => FinishReason::Stop,
                wit::model::FinishReason::ToolCalls => FinishReason::ToolCalls,
                wit::model::FinishReason::MaxTokens => FinishReason::MaxTokens,
                wit::model::FinishReason::Refused => FinishReason::Refused,
            },
            usage: Usage {
                input_tokens: finish.usage.input_tokens,
                output_tokens: finish.usage.output_tokens,
                estimated: finish.usage.estimated,
            },
        }),
    }
}

fn memory_error(error: wit::memory::Error) -> Error {
    match error {
        wit::memory::Error::Invalid(text) => Error::Invalid(text),
        wit::memory::Error::Full(text) => Error::Full(text),
        wit::memory::Error::Unavailable(text) => Error::Unavailable(text),
    }
}

fn model_error(error: wit::model::Error) -> Error {
    match error {
        wit::model::Error::Invalid(text) => Error::Invalid(text),
        wit::model::Error::UnknownModel(text) => Error::UnknownModel(text),
        wit::model::Error::RateLimited(wait) => Error::RateLimited(wait.map(Duration::from_millis)),
        wit::model::Error::Provider(text) => Error::Provider(text),
        wit::model::Error::Broken(text) => Error::Broken(text),
    }
}
