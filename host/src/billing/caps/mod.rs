//! Caps: reserve, then settle. A run of an organization with a hard cap is admitted under the lock of its month's row
//! and holds its part until its usage row says what it used; each of its generations asks again. Who has no hard cap
//! asks nothing. Invariant: at one below a cap exactly one of any number of hosts admits.

mod claim;
mod gate;
mod mark;
mod reached;
pub(in crate::billing) mod store;

use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use super::tiers::Plan;
use crate::kit::{OrgId, Result};

pub(super) use claim::{Claim, writer};
pub use gate::Gate;
use reached::reached;
pub use reached::{CAP_REACHED, ends, reached_of};

pub use super::tiers::Dimension;

/// Whether a run holds a part of its organization's caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Nothing,
    APart,
}

/// What is asked, or used, of each cap that is not of runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) input_tokens: i128,
    pub(super) output_tokens: i128,
    pub(super) cost: i128,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) org: OrgId,
    pub(super) run: Uuid,
    pub(super) at: OffsetDateTime,
    pub(super) plan: Arc<Plan>,
}

impl Amounts {
    fn of(&self, dimension: Dimension) -> i128 {
        match dimension {
            Dimension::Runs => 0,
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
            Dimension::Spend => self.cost,
        }
    }

    fn add(&mut self, other: Self, sign: i128) {
        self.input_tokens += sign * other.input_tokens;
        self.output_tokens += sign * other.output_tokens;
        self.cost += sign * other.cost;
    }
}

/// What ended runs held is in their usage rows: in the transaction that writes them.
pub async fn release(tx: &mut sqlx::PgConnection, runs: &[(OrgId, Uuid)]) -> Result<()> {
    store::delete_holds(tx, runs).await
}
