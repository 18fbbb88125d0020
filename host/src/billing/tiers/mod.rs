//! Tiers and plans: which caps an organization has. A tier is rows; an organization has the one it was given, or the
//! configuration's. Only the operator and the payment provider give: an organization cannot raise its own cap.

mod dimension;
mod give;
mod store;

pub use dimension::Dimension;
pub(super) use give::give;
pub use give::{CAP_REFUSED, Shown, Tier, Tiers, UNKNOWN_TIER};
pub(super) use store::plan_of;

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

impl Plan {
    pub fn hard(&self) -> impl Iterator<Item = &Cap> {
        self.caps.iter().filter(|cap| cap.hard)
    }
}
