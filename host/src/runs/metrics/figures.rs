//! What metrics say, and how sums become it.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::billing::Money;

/// What runs of one day, one agent or the whole window came to. Runs count on the day they ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Figures {
    pub runs: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub blocked: i64,
    /// Failed runs of all that ended; 0 where none did.
    pub failure_rate: f64,
    /// Milliseconds from the request to the end, waiting included; null where no run ended.
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub input_tokens: i64,
    pub output_tokens: i64,
    /// What it cost, exactly; null where nothing of it has a price.
    pub cost: Option<String>,
    /// Runs with a part that has no price and is not in `cost`.
    pub unpriced: i64,
}

/// One day of UTC.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Day {
    /// Such as `2026-11-20`.
    pub day: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// One agent's part.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Top {
    pub agent: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// A window of an organization's runs, or of one agent's.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Metrics {
    /// From this instant on, up to but not including the other: whole days, the last of them today.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
    pub currency: String,
    pub total: Figures,
    /// Oldest first, none left out.
    pub days: Vec<Day>,
    /// Of an organization only: the agents with the most runs, at most ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_by_use: Option<Vec<Top>>,
    /// Of an organization only: the agents with the most failed runs, at most ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_by_failure: Option<Vec<Top>>,
}

/// What a statement answers of one group.
pub(super) struct Sums {
    pub(super) runs: i64,
    pub(super) failed: i64,
    pub(super) cancelled: i64,
    pub(super) blocked: i64,
    pub(super) p50_ms: Option<i64>,
    pub(super) p95_ms: Option<i64>,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) cost_picos: i128,
    pub(super) unpriced: i64,
}

impl From<Sums> for Figures {
    fn from(sums: Sums) -> Self {
        let ended = sums.runs.max(1) as f64;
        let priceless = sums.unpriced == sums.runs && sums.cost_picos == 0 && sums.runs > 0;
        Self {
            runs: sums.runs,
            completed: sums.runs - sums.failed - sums.cancelled - sums.blocked,
            failed: sums.failed,
            cancelled: sums.cancelled,
            blocked: sums.blocked,
            failure_rate: sums.failed as f64 / ended,
            p50_ms: sums.p50_ms,
            p95_ms: sums.p95_ms,
            input_tokens: sums.input_tokens,
            output_tokens: sums.output_tokens,
            cost: (!priceless).then(|| Money(sums.cost_picos).to_string()),
            unpriced: sums.unpriced,
        }
    }
}

impl Figures {
    /// Of a day on which nothing ended.
    pub(super) fn none() -> Self {
        Self {
            cost: Some(Money(0).to_string()),
            ..Self::default()
        }
    }
}
