//! A run as clients see it: the object behind every door, its usage and its receipt.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::RunId;

/// A run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunView {
    #[schema(value_type = String)]
    pub id: RunId,
    pub agent: String,
    pub version: i32,
    /// The channel the version came by; absent where it was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// queued, running, completed, failed, cancelled or blocked.
    pub state: String,
    /// Why it ended; absent until it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub deadline_at: OffsetDateTime,
    pub fuel_max: i64,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub cancel_requested_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// The text that was shown; partial where the run was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub fault: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Receipt>)]
    pub receipt: Option<serde_json::Value>,
    /// What the guest wrote to stdout, stderr and its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub guest_log: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Value>,
}

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    pub input_tokens: i64,
    pub output_tokens: i64,
    /// A provider gave no count for a part of it.
    pub estimated: bool,
    pub fuel: i64,
    pub wall_ms: i64,
    pub memory_peak_bytes: i64,
    pub host_calls: i64,
}

/// What a stop, or an end, states.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// When the stop was asked for; absent where the run ended by itself.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub requested_at: Option<OffsetDateTime>,
    /// When the node saw it.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub observed_at: Option<OffsetDateTime>,
    /// When the guest was gone.
    #[serde(
        default,
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub stopped_at: Option<OffsetDateTime>,
    /// Where the run was: queued, compiling, guest, model, tool, search, sleep, finishing.
    #[serde(rename = "where")]
    pub place: String,
    pub fuel: i64,
    pub memory_peak_bytes: i64,
    pub usage: Usage,
    /// What was cut off.
    pub in_flight: Vec<String>,
}

/// One journaled host call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepView {
    pub seq: i32,
    pub kind: String,
    pub status: String,
    #[schema(value_type = Object)]
    pub request: serde_json::Value,
    #[schema(value_type = Option<Object>)]
    pub response: Option<serde_json::Value>,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    pub fuel_before: i64,
}

/// One event, as JSON rather than as SSE.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventView {
    pub seq: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub kind: String,
    #[schema(value_type = Object)]
    pub data: Box<serde_json::value::RawValue>,
}
