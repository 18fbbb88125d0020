//! The host of native tests: everything an agent may call, answered from what the test wrote down. Absent from
//! components. Only `host/mod.rs` reaches into it; authors see [`MockHost`], [`Answer`], [`Transcript`] and [`Recording`].

mod answer;
pub(crate) mod host;
pub(crate) mod memory;
mod passages;
mod recording;
mod run;
mod transcript;

pub use answer::Answer;
pub use recording::{Difference, Recording};
pub use run::MockHost;
pub use transcript::{Cited, Event, ToolRun, Transcript};
