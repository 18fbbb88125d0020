//! What a cap is of, by the names that tables, answers and stop reasons use.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::billing::prices::Money;

/// What a cap is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    Runs,
    InputTokens,
    OutputTokens,
    Spend,
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
