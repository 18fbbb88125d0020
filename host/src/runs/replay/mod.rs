//! Replaying runs that have ended: their version, or another one, is run again against their journal, and what is told
//! apart is reported. Nothing outside is asked and nothing is written: what is not recorded stops a replay there.

mod answers;
mod compare;
mod ended;
pub mod http;
mod many;
mod one;
mod perform;
mod recording;
mod report;
mod store;
mod summary;

use self::ended::Found;
use crate::kit::Code;

pub use compare::diff;
pub(super) use many::Turns;
pub use recording::{RecordedEvent, RecordedStep, Recording};
pub use report::{Beyond, Difference, Report, Side};
pub use summary::{Differing, NotCompared, Summary, Used};

pub const NOT_ENDED: Code = Code::new("run_not_ended", 409, "The run has not ended");
pub const NO_RUNS: Code = Code::new("no_runs_recorded", 409, "No run was recorded");
pub const REPLAYS_BUSY: Code = Code::new(
    "replays_busy",
    409,
    "Last runs of the organization are being replayed",
);
