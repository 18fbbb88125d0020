//! A canary that judges itself: its runs beside those of stable, against the thresholds it was given. Once it passes one, the
//! host ends it as a rollback of the canary would, and says why. One node at a time looks, and nothing is decided about
//! channels that moved meanwhile.

mod figures;
mod round;
mod store;
mod thresholds;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

pub use figures::Figures;
pub use thresholds::Thresholds;

/// How a canary is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Watch {
    pub(super) thresholds: Thresholds,
    /// Its runs count from here on.
    pub(super) since: OffsetDateTime,
}

/// How the canary stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It or stable had too few runs.
    Waiting,
    Within,
    /// It is ended when a host looks next.
    Beyond,
}

/// A canary beside stable.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Judged {
    /// Runs that began since then count.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    pub verdict: Verdict,
    /// The thresholds that are passed, each in a sentence.
    pub passed: Vec<String>,
    pub canary: Figures,
    /// Of the runs since then; where those are too few, of those of the day before as well.
    pub stable: Figures,
}
