//! A run as clients see it: the object behind every door, and what it did.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Receipt, RunId, Usage};
use crate::billing::{Billing, Money};
use crate::conversations::ConversationId;
use crate::limits::{Bound, Digest, Each, Effective, Source};

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
    /// The conversation it is of.
    #[serde(rename = "conversation_id", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub conversation: Option<ConversationId>,
    /// queued, running, suspended, completed, failed, cancelled or blocked.
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
    /// The guardrail that ended it: kind, rule, at, message, detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub blocked: Option<serde_json::Value>,
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
    /// What it is bound by from its start to its end, and where each value came from; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Each<Bound>>,
    #[serde(skip)]
    pub(super) limits_digest: Option<Digest>,
    /// What it cost; where the host has prices, and the run has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The cost as it was billed; within, none where a part of it has no price.
    #[serde(skip)]
    pub(super) billed: Option<Option<Money>>,
}

/// A run that has ended, in short.
#[derive(Clone, Debug)]
pub struct Turn {
    pub run: RunId,
    pub agent: String,
    pub version: i32,
    pub state: String,
    pub stop_reason: String,
    pub usage: Option<Usage>,
}

/// What a run cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Cost {
    /// Exact, such as `0.0012345`; null where a part of it has no price.
    pub amount: Option<String>,
    pub currency: String,
}

impl RunView {
    pub(super) fn show_cost(&mut self, billing: &Billing) {
        if billing.prices().is_empty() {
            return;
        }
        self.cost = self.billed.map(|cost| Cost {
            amount: cost.map(|cost| cost.to_string()),
            currency: billing.currency().to_owned(),
        });
    }

    /// The limits of its set, those apart that its own request made smaller.
    pub(super) fn show_limits(&mut self, set: &Effective) {
        let mut limits = set.each.clone();
        let run = |bound: &mut Bound, value: u64| {
            if value < bound.value {
                *bound = Bound {
                    value,
                    source: Source::Run,
                };
            }
        };
        run(&mut limits.fuel, u64::try_from(self.fuel_max).unwrap_or(0));
        let wall = (self.deadline_at - self.created_at).whole_milliseconds();
        run(&mut limits.wall_ms, u64::try_from(wall).unwrap_or(0));
        self.limits = Some(limits);
    }
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
    /// What a generation used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<StepTokens>,
}

/// The tokens of one generation.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct StepTokens {
    pub input: u64,
    pub output: u64,
    /// Its provider gave no count.
    pub estimated: bool,
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
