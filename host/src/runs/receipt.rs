//! What a run used, and what a stop or an end of it states.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

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
    /// Where the run was: queued, compiling, guest, model, tool, search, sleep, guardrail, finishing.
    #[serde(rename = "where")]
    pub place: String,
    pub fuel: i64,
    pub memory_peak_bytes: i64,
    pub usage: Usage,
    /// What was cut off.
    pub in_flight: Vec<String>,
    /// The stop was not effective within 250 ms, and the host that ran it drains.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub escalated: bool,
}
