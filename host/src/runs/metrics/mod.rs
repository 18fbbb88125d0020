//! How an organization's runs went, day by day: counts, failures, latency, tokens and cost, and the agents most used
//! and most failing. Read from the rows of runs that ended; a day is one of UTC, and an empty one is there as zero.

mod figures;
pub mod http;
mod store;
mod window;

pub use figures::{Day, Figures, Metrics, Top};
