//! Tiers and plans: which caps an organization has. A tier is rows; an organization has the one it was given, or the
//! configuration's. Only the operator and the payment provider give: an organization cannot raise its own cap.

mod give;
mod store;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::prices::Money;

pub use give::{CAP_REFUSED, Shown, Tier, Tiers, UNKNOWN_TIER};
pub(super) use store::plan_of;

/// What a cap is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Runs,
    InputTokens,
    OutputTokens,
    Spend,
}

/// One cap of a plan, for a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub dimension: Dimension,
    /// Picos where it is of spend.
    pub cap: i128,
    pub hard: bool,
    pub warn_percent: i32,
}

/// What an organization may use in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub tier: String,
    /// In the order they are looked at; spend is the last.
    pub caps: Vec<Cap>,
}

impl Dimension {
    pub const ALL: [Self; 4] = [
        Self::Runs,
        Self::InputTokens,
        Self::OutputTokens,
        Self::Spend,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Spend => "spend",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dimension| dimension.name() == name)
    }

    /// How a run ends that meets it.
    pub fn stop_reason(self) -> &'static str {
        match self {
            Self::Runs => "cap:runs",
            Self::InputTokens => "cap:input_tokens",
            Self::OutputTokens => "cap:output_tokens",
            Self::Spend => "cap:spend",
        }
    }

    /// An amount of it as it is shown: money with its decimals.
    pub fn show(self, amount: i128) -> serde_json::Value {
        match self {
            Self::Spend => Money(amount).to_string().into(),
            _ => i64::try_from(amount).unwrap_or(i64::MAX).into(),
        }
    }
}

impl Plan {
    pub fn hard(&self) -> impl Iterator<Item = &Cap> {
        self.caps.iter().filter(|cap| cap.hard)
    }
}
