//! What a generation is asked and answers, in this room's own terms: the wire of a provider and the contract with
//! guests are converted to and from these. `Request::check` holds the contract's bounds.

use std::time::Duration;

use crate::kit::Error;

const MESSAGES_MAX: usize = 1_000;
const TOOLS_MAX: usize = 64;
const PASSAGES_MAX: usize = 32;
const CALL_ID_BYTES_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// A passage of knowledge, cited in the answer as `[number]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    pub number: u32,
    pub title: String,
    pub text: String,
}

/// A call the model asks for; `arguments` is JSON as the model wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    pub id: String,
    pub content: String,
    pub failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Passages(Vec<Passage>),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
}

/// A tool the model may ask for; `input_schema` is a JSON Schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub name: String,
    pub description: String,
    pub input_schema: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub max_tokens: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    Stop,
    ToolCalls,
    MaxTokens,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish {
    pub reason: FinishReason,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Of the input, what the provider had in its cache; of the output, what was thought and not said. Not told to guests.
    pub cached_tokens: u64,
    pub reasoning_tokens: u64,
    /// The provider gave no count.
    pub estimated: bool,
}

/// One piece of a generation; nothing follows `Finish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    Text(String),
    ToolCall(ToolCall),
    Finish(Finish),
}

/// Why there is no generation, or no more of it. All but `Host` may be told to the guest.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    UnknownModel(String),
    #[error("the provider asks to wait")]
    RateLimited(Option<Duration>),
    #[error("{0}")]
    Provider(String),
    #[error("{0}")]
    Broken(String),
    /// The host's own failure: it ends the run and is not the guest's to see.
    #[error(transparent)]
    Host(#[from] Error),
}

impl Request {
    /// Refuses what the contract does not allow, naming it.
    pub fn check(&self) -> Result<(), GenerateError> {
        let refuse = |text: String| Err(GenerateError::Invalid(text));
        if !(1..=MESSAGES_MAX).contains(&self.messages.len()) {
            return refuse(format!("A request holds 1 to {MESSAGES_MAX} messages."));
        }
        if self.tools.len() > TOOLS_MAX {
            return refuse(format!("A request holds at most {TOOLS_MAX} tools."));
        }
        if self.max_tokens == Some(0) {
            return refuse("`max-tokens` must be at least 1.".into());
        }
        for tool in &self.tools {
            if !is_tool_name(&tool.name) {
                return refuse(format!(
                    "`{:.64}` cannot name a tool: use 1 to 64 of a-z, A-Z, 0-9, `_`, `-`.",
                    tool.name.escape_debug().to_string()
                ));
            }
            if !is_json_object(&tool.input_schema) {
                return refuse(format!(
                    "The input schema of the tool `{}` is not a JSON object.",
                    tool.name
                ));
            }
        }
        for (place, message) in self.messages.iter().enumerate() {
            if let Some(fault) = message.fault() {
                return refuse(format!("Message {}: {fault}.", place + 1));
            }
        }
        Ok(())
    }

    /// The characters a model reads, for an estimate of its tokens.
    pub fn chars(&self) -> u64 {
        let tools = self
            .tools
            .iter()
            .map(|tool| chars(&tool.name) + chars(&tool.description) + chars(&tool.input_schema));
        let parts = self.messages.iter().flat_map(|message| &message.parts);
        tools.sum::<u64>() + parts.map(Part::chars).sum::<u64>()
    }
}

impl Message {
    fn fault(&self) -> Option<&'static str> {
        for part in &self.parts {
            match (self.role, part) {
                (Role::Tool, Part::ToolResult(result)) => {
                    if result.id.is_empty() || result.id.len() > CALL_ID_BYTES_MAX {
                        return Some("the id of a tool result must have 1 to 256 bytes");
                    }
                }
                (Role::Tool, _) => return Some("a message of role `tool` holds tool results only"),
                (_, Part::ToolResult(_)) => {
                    return Some("tool results belong into a message of role `tool`");
                }
                (Role::Assistant, Part::ToolCall(call)) => {
                    if call.id.is_empty() || call.id.len() > CALL_ID_BYTES_MAX {
                        return Some("the id of a tool call must have 1 to 256 bytes");
                    }
                }
                (_, Part::ToolCall(_)) => {
                    return Some("tool calls belong into a message of role `assistant`");
                }
                (_, Part::Passages(passages)) => {
                    if passages.len() > PASSAGES_MAX {
                        return Some("a part holds at most 32 passages");
                    }
                    if passages.iter().any(|passage| passage.number == 0) {
                        return Some("passages are numbered from 1");
                    }
                }
                (_, Part::Text(_)) => {}
            }
        }
        None
    }

    /// The text parts, a blank line between them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            if let Part::Text(more) = part {
                if !text.is_empty() {
                    text.push_str("\n\n");
                }
                text.push_str(more);
            }
        }
        text
    }
}

impl Part {
    fn chars(&self) -> u64 {
        match self {
            Self::Text(text) => chars(text),
            Self::Passages(passages) => passages
                .iter()
                .map(|passage| chars(&passage.title) + chars(&passage.text))
                .sum(),
            Self::ToolCall(call) => chars(&call.name) + chars(&call.arguments),
            Self::ToolResult(result) => chars(&result.content),
        }
    }
}

impl Chunk {
    /// The characters a model wrote for it.
    pub fn chars(&self) -> u64 {
        match self {
            Self::Text(text) => chars(text),
            Self::ToolCall(call) => chars(&call.name) + chars(&call.arguments),
            Self::Finish(_) => 0,
        }
    }
}

fn chars(text: &str) -> u64 {
    text.chars().count() as u64
}

fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_json_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}
