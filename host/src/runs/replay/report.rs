//! What a replay answers.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::runs::{RunId, Usage};

/// Bytes of a text that is shown beside another.
pub(super) const TEXT_MAX: usize = 16 << 10;

/// A replay beside the run it replays.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    #[schema(value_type = String)]
    pub run: RunId,
    /// The version it was replayed on.
    pub version: i32,
    /// Nothing differs.
    pub same: bool,
    pub recorded: Side,
    pub replayed: Side,
    pub differences: Vec<Difference>,
    /// Where the replay ended because nothing is recorded of what it asked there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
}

/// One of the two.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Side {
    pub version: i32,
    /// Absent where the replay went beyond the journal: nobody knows how it would have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    pub output: String,
    /// Journaled calls that were asked for.
    pub steps: i32,
    pub usage: Usage,
}

/// One thing that is not the same.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Difference {
    /// request, text, tool_calls, citations, status, order, state, stop_reason, fault, fuel, input_tokens,
    /// output_tokens, host_calls, steps or journal.
    pub what: &'static str,
    /// The step whose request differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub recorded: Value,
    #[schema(value_type = Option<Object>)]
    pub replayed: Value,
    /// Both texts line by line: `- ` was recorded, `+ ` was replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// The place where a replay could not go on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Beyond {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub why: String,
    #[serde(skip)]
    pub(super) there: There,
}

/// What the journal has where a replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    /// Something that is no answer to what was asked.
    Another,
    /// What is not as it was recorded.
    Altered,
    /// Nobody looked: the replay had no more time.
    TimeUp,
}

impl Beyond {
    /// Something is recorded there, and it does not fit.
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self.there, There::Another | There::Altered)
    }
}

/// A request that is not the recorded one.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) step: i32,
    pub(super) kind: String,
    pub(super) recorded: String,
    pub(super) replayed: String,
}

pub(super) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(most)])
}
