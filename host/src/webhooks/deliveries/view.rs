//! A delivery as it is shown, and which are asked for.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use crate::ledger::outbox::EventId;

/// A delivery as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// The event: `webhook-id` of every attempt.
    #[schema(value_type = String)]
    pub event: EventId,
    /// What happened.
    pub topic: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `waiting`, `delivered`, `failed` (tried as often as it is) or `dropped` (its endpoint was disabled).
    pub state: String,
    /// All attempts there were.
    pub attempts: i32,
    /// When it is tried next.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub next_attempt_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<LastAttempt>,
}

/// How the last attempt went.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LastAttempt {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The status of the answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Why it was no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub took_ms: i32,
    /// The start of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeliveriesQuery {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 200; 50 where absent.
    pub limit: Option<u32>,
    /// `waiting`, `delivered`, `failed` or `dropped`.
    pub state: Option<String>,
}
