//! What a key may do: a closed list, named in every route's signature.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a key may do. `admin` may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See agents, runs, knowledge.
    Read,
    /// Start and cancel runs.
    Run,
    /// Upload versions, move channels, change knowledge.
    Deploy,
    /// Keys and model connections, and everything else.
    Admin,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Read, Self::Run, Self::Deploy, Self::Admin]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}
