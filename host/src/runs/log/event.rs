//! The closed list of what a run's log can say. An event is numbered and put into bytes once; table and SSE carry
//! the same bytes.

use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;

use crate::runs::{Receipt, RunId, Usage};
use crate::sandbox::Blocked;

/// One fact of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Event {
    Started {
        run: RunId,
        agent: String,
        version: i32,
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<String>,
    },
    /// More of the answer.
    Text {
        text: String,
    },
    ToolCall {
        call: u32,
        name: String,
        arguments: serde_json::Value,
    },
    ToolResult {
        call: u32,
        failed: bool,
        content: String,
    },
    Citation(Box<Citation>),
    /// What the agent is doing.
    Status {
        text: String,
    },
    /// The text events from `from` on, and what was said beside them, are void: their generation was lost with its
    /// host and is made again.
    Retract {
        from: i32,
    },
    /// A guardrail ended the run; nothing but `done` follows.
    Blocked(Box<Blocked>),
    /// The last event.
    Done(Box<Done>),
}

/// A checked source of what was said.
#[derive(Clone, Debug, Serialize)]
pub struct Citation {
    /// The number the text cites it by.
    pub number: u32,
    pub entry: String,
    pub chunk: String,
    pub title: String,
    pub heading: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Byte offsets of the cited words in the entry's content.
    pub start_byte: u64,
    pub end_byte: u64,
    pub quote: String,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize)]
pub struct Done {
    pub state: &'static str,
    pub stop_reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<serde_json::Value>,
    pub usage: Usage,
    pub receipt: Receipt,
}

impl Event {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Text { .. } => "text",
            Self::ToolCall { .. } => "tool_call",
            Self::ToolResult { .. } => "tool_result",
            Self::Citation(_) => "citation",
            Self::Status { .. } => "status",
            Self::Retract { .. } => "retract",
            Self::Blocked(_) => "blocked",
            Self::Done(_) => DONE,
        }
    }

    /// Numbers the event and puts it into bytes.
    pub fn store(&self, seq: i32, at: OffsetDateTime) -> Result<Stored, serde_json::Error> {
        let data = serde_json::to_string(self)?;
        Ok(Stored {
            seq,
            at,
            kind: self.kind().into(),
            data: data.into(),
        })
    }
}

/// The kind of the last event of every run.
pub const DONE: &str = "done";

/// An event as the table holds it and SSE sends it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub seq: i32,
    pub at: OffsetDateTime,
    pub kind: Arc<str>,
    /// JSON text in one line.
    pub data: Arc<str>,
}

impl Stored {
    pub fn is_last(&self) -> bool {
        &*self.kind == DONE
    }

    /// The text it adds to the answer.
    pub fn text(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Text {
            text: String,
        }
        if &*self.kind != "text" {
            return None;
        }
        let text: Text = serde_json::from_str(&self.data).ok()?;
        Some(text.text)
    }

    /// Where it withdraws from.
    pub fn withdraws(&self) -> Option<i32> {
        #[derive(serde::Deserialize)]
        struct Retract {
            from: i32,
        }
        if &*self.kind != "retract" {
            return None;
        }
        let retract: Retract = serde_json::from_str(&self.data).ok()?;
        Some(retract.from)
    }
}
