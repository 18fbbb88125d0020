//! What a scripted model answers to one generation.

use std::collections::VecDeque;

use serde_json::Value;

use crate::error::Error;
use crate::model::{Chunk, Finish, FinishReason, ToolCall, Usage};

/// What a scripted model answers to one generation, piece by piece.
///
/// A text becomes an answer that streams word by word:
///
/// ```
/// use bulkhead_sdk::mock::Answer;
/// use bulkhead_sdk::model::FinishReason;
/// use serde_json::json;
///
/// let short = Answer::from("Two words.");
/// let split = Answer::chunks(["See [", "1", "]."]);
/// let cut = Answer::from("It begins").finish(FinishReason::MaxTokens);
/// let calling = Answer::call("add", json!({"a": 1, "b": 2})).and_call("add", json!({"a": 3, "b": 4}));
/// assert_ne!(short, split);
/// assert_ne!(cut, calling);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Answer {
    chunks: Vec<Chunk>,
    reason: Option<FinishReason>,
    error: Option<Error>,
    refused: Option<Error>,
}

impl Answer {
    /// Streams exactly these pieces of text.
    pub fn chunks<T: Into<String>>(pieces: impl IntoIterator<Item = T>) -> Self {
        let chunks = pieces
            .into_iter()
            .map(|piece| Chunk::Text(piece.into()))
            .collect();
        Self {
            chunks,
            reason: None,
            error: None,
            refused: None,
        }
    }

    /// Asks for a tool call.
    pub fn call(name: &str, arguments: Value) -> Self {
        Self::chunks::<String>([]).and_call(name, arguments)
    }

    /// Cannot be begun: the generation itself fails.
    pub fn error(error: Error) -> Self {
        Self {
            refused: Some(error),
            ..Self::chunks::<String>([])
        }
    }

    /// Asks for one more tool call.
    pub fn and_call(self, name: &str, arguments: Value) -> Self {
        self.and_call_raw(name, &arguments.to_string())
    }

    /// Asks for one more tool call, with arguments as a model may write them.
    pub fn and_call_raw(mut self, name: &str, arguments: &str) -> Self {
        self.chunks.push(Chunk::ToolCall(ToolCall {
            id: format!("call-{}", self.chunks.len() + 1),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        }));
        self
    }

    /// Ends for this reason, in place of the one that follows from the pieces.
    pub fn finish(mut self, reason: FinishReason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Fails after its pieces instead of ending.
    pub fn then_error(mut self, error: Error) -> Self {
        self.error = Some(error);
        self
    }

    /// What the generation answers, in order; an error where it cannot begin.
    pub(super) fn steps(self) -> Result<VecDeque<Result<Chunk, Error>>, Error> {
        if let Some(error) = self.refused {
            return Err(error);
        }
        let calls = self
            .chunks
            .iter()
            .any(|chunk| matches!(chunk, Chunk::ToolCall(_)));
        let reason = self.reason.unwrap_or(if calls {
            FinishReason::ToolCalls
        } else {
            FinishReason::Stop
        });
        let usage = Usage {
            output_tokens: self.chunks.len().try_into().unwrap_or(u64::MAX),
            ..Usage::default()
        };
        let last = self
            .error
            .map_or(Ok(Chunk::Finish(Finish { reason, usage })), Err);
        Ok(self.chunks.into_iter().map(Ok).chain([last]).collect())
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        Self::chunks(text.split_inclusive(' '))
    }
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}
