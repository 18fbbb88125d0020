//! The room's terms to and from the contract's: one variant, one line; and to a trace's words.

use std::time::Duration;

use super::chat::{
    Chunk, Finish, FinishReason, GenerateError, Message, Part, Passage, Request, Role, Tool,
    ToolCall, ToolResult,
};
use crate::kit::Error;
use crate::kit::trace::genai;
use crate::sandbox::bindings::bulkhead::agent::model as wit;

impl From<wit::Request> for Request {
    fn from(request: wit::Request) -> Self {
        Self {
            messages: request.messages.into_iter().map(Message::from).collect(),
            tools: request.tools.into_iter().map(Tool::from).collect(),
            max_tokens: request.max_tokens,
        }
    }
}

impl From<wit::Message> for Message {
    fn from(message: wit::Message) -> Self {
        Self {
            role: match message.role {
                wit::Role::System => Role::System,
                wit::Role::User => Role::User,
                wit::Role::Assistant => Role::Assistant,
                wit::Role::Tool => Role::Tool,
            },
            parts: message.parts.into_iter().map(Part::from).collect(),
        }
    }
}

impl From<wit::Part> for Part {
    fn from(part: wit::Part) -> Self {
        match part {
            wit::Part::Text(text) => Self::Text(text),
            wit::Part::Passages(passages) => {
                Self::Passages(passages.into_iter().map(Passage::from).collect())
            }
            wit::Part::ToolCall(call) => Self::ToolCall(call.into()),
            wit::Part::ToolResult(result) => Self::ToolResult(result.into()),
        }
    }
}

impl From<wit::Passage> for Passage {
    fn from(passage: wit::Passage) -> Self {
        Self {
            number: passage.number,
            title: passage.title,
            text: passage.text,
        }
    }
}

impl From<wit::ToolCall> for ToolCall {
    fn from(call: wit::ToolCall) -> Self {
        Self {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }
    }
}

impl From<ToolCall> for wit::ToolCall {
    fn from(call: ToolCall) -> Self {
        Self {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }
    }
}

impl From<wit::ToolResult> for ToolResult {
    fn from(result: wit::ToolResult) -> Self {
        Self {
            id: result.id,
            content: result.content,
            failed: result.failed,
        }
    }
}

impl From<wit::Tool> for Tool {
    fn from(tool: wit::Tool) -> Self {
        Self {
            name: tool.name,
            description: tool.description,
            input_schema: tool.input_schema,
        }
    }
}

impl From<Chunk> for wit::Chunk {
    fn from(chunk: Chunk) -> Self {
        match chunk {
            Chunk::Text(text) => Self::Text(text),
            Chunk::ToolCall(call) => Self::ToolCall(call.into()),
            Chunk::Finish(finish) => Self::Finish(finish.into()),
        }
    }
}

impl From<Finish> for wit::Finish {
    fn from(finish: Finish) -> Self {
        Self {
            reason: match finish.reason {
                FinishReason::Stop => wit::FinishReason::Stop,
                FinishReason::ToolCalls => wit::FinishReason::ToolCalls,
                FinishReason::MaxTokens => wit::FinishReason::MaxTokens,
                FinishReason::Refused => wit::FinishReason::Refused,
            },
            usage: wit::Usage {
                input_tokens: finish.input_tokens,
                output_tokens: finish.output_tokens,
                estimated: finish.estimated,
            },
        }
    }
}

impl TryFrom<GenerateError> for wit::Error {
    type Error = Error;

    /// The host's own failure is not told to a guest.
    fn try_from(error: GenerateError) -> Result<Self, Error> {
        Ok(match error {
            GenerateError::Invalid(text) => Self::Invalid(text),
            GenerateError::UnknownModel(text) => Self::UnknownModel(text),
            GenerateError::RateLimited(wait) => Self::RateLimited(wait.map(millis)),
            GenerateError::Provider(text) => Self::Provider(text),
            GenerateError::Broken(text) => Self::Broken(text),
            GenerateError::Host(error) => return Err(error),
        })
    }
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// The texts of a request, as a trace carries them.
pub(super) fn said(request: &Request) -> String {
    let messages = request.messages.iter().map(|message| {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        (role, message.text().into())
    });
    genai::messages(messages)
}

/// Why a generation ended, in a trace's words.
pub(super) fn reason(reason: wit::FinishReason) -> &'static str {
    match reason {
        wit::FinishReason::Stop => "stop",
        wit::FinishReason::ToolCalls => "tool_call",
        wit::FinishReason::MaxTokens => "length",
        wit::FinishReason::Refused => "content_filter",
    }
}

/// What broke a generation off, in a word.
pub(super) fn class(error: &wit::Error) -> &'static str {
    match error {
        wit::Error::Invalid(_) => "invalid",
        wit::Error::UnknownModel(_) => "unknown_model",
        wit::Error::RateLimited(_) => "rate_limited",
        wit::Error::Provider(_) => "provider",
        wit::Error::Broken(_) => "broken",
    }
}

/// The characters a model wrote for a recorded chunk.
pub(super) fn chars(chunk: &wit::Chunk) -> u64 {
    let chars = |text: &str| text.chars().count() as u64;
    match chunk {
        wit::Chunk::Text(text) => chars(text),
        wit::Chunk::ToolCall(call) => chars(&call.name) + chars(&call.arguments),
        wit::Chunk::Finish(_) => 0,
    }
}

/// The bytes a chunk brings to the guest.
pub(super) fn bytes(chunk: &wit::Chunk) -> usize {
    match chunk {
        wit::Chunk::Text(text) => text.len(),
        wit::Chunk::ToolCall(call) => call.id.len() + call.name.len() + call.arguments.len(),
        wit::Chunk::Finish(_) => 0,
    }
}
