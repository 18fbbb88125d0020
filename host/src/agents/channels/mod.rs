//! Channels: the pointers new runs follow. `stable` is the version that answers, `canary` one that answers some; moving
//! one is one transaction, and every node sees it within a second, this one at once.

mod choose;
mod diff;
pub mod http;
pub mod judge;
mod moves;
mod pointers;
mod show;
mod store;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id;
use crate::kit::Code;

pub use choose::{By, Resolved};
pub(super) use choose::{Pointed, Wanted, cache, pointers};
pub use diff::{CAPABILITIES_NOT_APPROVED, Diff};
pub use moves::{MoveCanary, MoveChannel, Rollback};
pub use show::{Channels, Pointer};

pub const NO_STABLE: Code = Code::new(
    "no_stable_version",
    409,
    "The agent has no stable version yet",
);
pub const NO_CANARY: Code = Code::new("no_canary", 409, "The agent has no canary");
pub const NO_PREVIOUS: Code = Code::new(
    "no_previous_version",
    409,
    "No version was stable before this one",
);

id!(MoveId, "move_", "A move of a channel.");

/// A channel of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    Stable,
    Canary,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Canary => "canary",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        [Self::Stable, Self::Canary]
            .into_iter()
            .find(|channel| channel.as_str() == name)
    }
}
