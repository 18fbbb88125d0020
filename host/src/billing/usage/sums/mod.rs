//! Sums of usage: added up by a job, and read together with what is not added up yet.

pub(in crate::billing) mod store;

use super::super::prices::Money;

/// What rows of the ledger come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Runs, or generations where they are counted.
    pub count: i128,
    pub failed: i128,
    pub cancelled: i128,
    pub blocked: i128,
    pub estimated: i128,
    pub unpriced: i128,
    pub input_tokens: i128,
    pub output_tokens: i128,
    pub cached_tokens: i128,
    pub reasoning_tokens: i128,
    pub fuel: i128,
    pub wall_ms: i128,
    pub memory_peak_bytes: i128,
    pub host_calls: i128,
    pub tool_calls: i128,
    pub egress_bytes: i128,
    pub knowledge_queries: i128,
    pub cost: Money,
}
