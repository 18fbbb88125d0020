//! The rows of usage: one for each run and for each generation, written with the run's end and never changed; the
//! sums of them; and what is shown. Invariant: an answer is the sums and what is in none yet, so it is always exact.

mod fold;
mod record;
mod show;
mod store;
pub(in crate::billing) mod sums;

pub use record::{Bill, StepRecord, UsageRecord, find};
pub use show::{CapShown, Group, Line, Report};
pub(in crate::billing) use store::insert;
pub(in crate::billing) use sums::Sums;
