//! An answer, put together from the events of its stream: text as it comes, tool calls once they are whole, the end
//! with the provider's count. What cannot be read, is too large or has no end is `Broken`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::Config;
use super::super::chat::{Chunk, Finish, FinishReason, GenerateError, Request, ToolCall};
use super::client::broken;
use super::fault::clamp;
use super::scrub::Scrub;
use crate::billing::{Tokens, meter};

const CALLS_MAX: usize = 64;
const CALL_ID_BYTES_MAX: usize = 256;

pub(super) struct Answer {
    scrub: Scrub,
    /// Ready to be given out.
    chunks: Vec<Chunk>,
    calls: Vec<Call>,
    reason: Option<FinishReason>,
    /// The endpoint said `[DONE]`.
    is_done: bool,
    usage: Option<Tokens>,
    /// Of text and calls together.
    bytes_left: usize,
    call_bytes_max: usize,
    input_estimate: u64,
    output_chars: u64,
}

struct Call {
    index: Option<u32>,
    id: String,
    name: String,
    arguments: String,
}

#[derive(Deserialize)]
struct Event {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    index: Option<u32>,
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<Content>,
    refusal: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

/// Some endpoints send what is not text, such as their thinking, in a form of their own: passed over.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<u32>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Default, Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl Answer {
    pub(super) fn new(config: &Config, scrub: Scrub, request: &Request) -> Self {
        Self {
            scrub,
            chunks: Vec::new(),
            calls: Vec::new(),
            reason: None,
            is_done: false,
            usage: None,
            bytes_left: config.answer_bytes_max,
            call_bytes_max: config.event_bytes_max,
            input_estimate: meter::estimate(request.chars()),
            output_chars: 0,
        }
    }

    /// Takes in one event; `true` where it was the last.
    pub(super) fn event(&mut self, data: &[u8]) -> Result<bool, GenerateError> {
        if data.trim_ascii().is_empty() {
            return Ok(false);
        }
        if data.trim_ascii() == b"[DONE]" {
            self.is_done = true;
            return Ok(true);
        }
        let event: Event = serde_json::from_slice(data)
            .map_err(|_| broken("The provider sent an event that cannot be read."))?;
        if let Some(error) = event.error {
            return Err(self.told(&error));
        }
        if let Some(Usage {
            prompt_tokens: Some(input),
            completion_tokens: Some(output),
            prompt_tokens_details,
            completion_tokens_details,
        }) = event.usage
        {
            let cached = prompt_tokens_details.and_then(|details| details.cached_tokens);
            let reasoning = completion_tokens_details.and_then(|details| details.reasoning_tokens);
            // A part is no more than the whole, whatever the provider says.
            self.usage = Some(Tokens {
                input,
                output,
                cached: cached.unwrap_or(0).min(input),
                reasoning: reasoning.unwrap_or(0).min(output),
                estimated: false,
            });
        }
        for choice in event.choices.into_iter().flatten() {
            // One answer was asked for.
            if choice.index.unwrap_or(0) == 0 {
                self.choice(choice)?;
            }
        }
        Ok(false)
    }

    /// The pieces that are ready.
    pub(super) fn take(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.chunks)
    }

    /// Whether the end was said, if not yet the count.
    pub(super) fn is_finished(&self) -> bool {
        self.reason.is_some() || self.is_done
    }

    /// Nothing more comes: the calls, then the end.
    pub(super) fn end(&mut self) -> Result<(), GenerateError> {
        let reason = match (self.reason, self.is_done) {
            (Some(reason), _) => reason,
            (None, true) => FinishReason::Stop,
            (None, false) => return Err(broken("The provider's answer broke off.")),
        };
        let rest = self.scrub.rest();
        self.push_text(rest);
        // A call that was cut by the token limit is none.
        let whole = |call: &Call| reason != FinishReason::MaxTokens || is_json(&call.arguments);
        let mut calls = std::mem::take(&mut self.calls);
        calls.retain(whole);
        let has_calls = !calls.is_empty();
        for (place, call) in calls.into_iter().enumerate() {
            let call = self.whole_call(place, call)?;
            self.chunks.push(Chunk::ToolCall(call));
        }
        let reason = match reason {
            // Some endpoints end with `stop` whatever they ask for, and some the other way round.
            FinishReason::Stop | FinishReason::ToolCalls if has_calls => FinishReason::ToolCalls,
            FinishReason::ToolCalls => FinishReason::Stop,
            other => other,
        };
        let counted = self.usage.unwrap_or(Tokens {
            input: self.input_estimate,
            output: meter::estimate(self.output_chars),
            estimated: true,
            ..Tokens::default()
        });
        self.chunks.push(Chunk::Finish(Finish {
            reason,
            input_tokens: counted.input,
            output_tokens: counted.output,
            cached_tokens: counted.cached,
            reasoning_tokens: counted.reasoning,
            estimated: counted.estimated,
        }));
        Ok(())
    }

    fn choice(&mut self, choice: Choice) -> Result<(), GenerateError> {
        if let Some(delta) = choice.delta {
            if let Some(Content::Text(text)) = delta.content {
                self.text(text)?;
            }
            if let Some(text) = delta.refusal {
                self.text(text)?;
                self.reason = Some(FinishReason::Refused);
            }
            for call in delta.tool_calls.into_iter().flatten() {
                self.call(call)?;
            }
        }
        if let Some(reason) = choice.finish_reason
            && self.reason != Some(FinishReason::Refused)
        {
            self.reason = Some(match reason.as_str() {
                "length" => FinishReason::MaxTokens,
                "tool_calls" | "function_call" => FinishReason::ToolCalls,
                "content_filter" => FinishReason::Refused,
                _ => FinishReason::Stop,
            });
        }
        Ok(())
    }

    fn text(&mut self, text: String) -> Result<(), GenerateError> {
        self.charge(&text)?;
        let text = self.scrub.push(text);
        self.push_text(text);
        Ok(())
    }

    fn push_text(&mut self, mut text: String) {
        // No word has a NUL, and what stores text cannot hold one.
        if text.contains('\0') {
            text = text.replace('\0', "\u{fffd}");
        }
        if !text.is_empty() {
            self.chunks.push(Chunk::Text(text));
        }
    }

    fn call(&mut self, delta: CallDelta) -> Result<(), GenerateError> {
        let id = delta.id.unwrap_or_default();
        let place = match self.place(delta.index, &id) {
            Some(place) => place,
            None if self.calls.len() == CALLS_MAX => {
                return Err(broken("The provider asked for too many tool calls."));
            }
            None => {
                self.calls.push(Call {
                    index: delta.index,
                    id: String::new(),
                    name: String::new(),
                    arguments: String::new(),
                });
                self.calls.len() - 1
            }
        };
        let function = delta.function.unwrap_or(FunctionDelta {
            name: None,
            arguments: None,
        });
        let name = function.name.unwrap_or_default();
        let arguments = function.arguments.unwrap_or_default();
        for text in [&name, &arguments] {
            self.charge(text)?;
        }
        let call = &mut self.calls[place];
        if call.id.is_empty() {
            call.id = id;
        }
        call.name.push_str(&name);
        call.arguments.push_str(&arguments);
        if call.id.len() > CALL_ID_BYTES_MAX || call.arguments.len() > self.call_bytes_max {
            return Err(broken(
                "The provider asked for a tool call that is too large.",
            ));
        }
        Ok(())
    }

    /// The call a piece belongs to. Most endpoints number them; some leave the number out or always send the same one
    /// with another id.
    fn place(&self, index: Option<u32>, id: &str) -> Option<usize> {
        let is_same = |call: &Call| id.is_empty() || call.id.is_empty() || call.id == id;
        match index {
            Some(_) => self
                .calls
                .iter()
                .rposition(|call| call.index == index && is_same(call)),
            None if id.is_empty() => self.calls.len().checked_sub(1),
            None => self.calls.iter().rposition(|call| call.id == id),
        }
    }

    fn whole_call(&self, place: usize, call: Call) -> Result<ToolCall, GenerateError> {
        if call.name.is_empty() {
            return Err(broken("The provider asked for a tool call without a name."));
        }
        let id = match call.id.is_empty() {
            true => format!("call_{}", place + 1),
            false => self.scrub.text(&call.id),
        };
        let arguments = match call.arguments.is_empty() {
            true => "{}".to_owned(),
            false => self.scrub.text(&call.arguments),
        };
        Ok(ToolCall {
            id,
            name: self.scrub.text(&call.name),
            arguments,
        })
    }

    fn charge(&mut self, text: &str) -> Result<(), GenerateError> {
        self.output_chars += text.chars().count() as u64;
        self.bytes_left = self
            .bytes_left
            .checked_sub(text.len())
            .ok_or_else(|| broken("The provider's answer is too large."))?;
        Ok(())
    }

    /// An error the endpoint sent in the middle of its stream.
    fn told(&self, error: &Value) -> GenerateError {
        let message = error.get("message").unwrap_or(error);
        let text = message
            .as_str()
            .map_or_else(|| message.to_string(), str::to_owned);
        GenerateError::Provider(clamp(&self.scrub.text(&text)))
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}
