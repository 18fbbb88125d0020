//! Sums of usage: added up by a job, and read together with what is not added up yet.

pub(in crate::billing) mod store;

use super::super::prices::Money;

/// What rows of usage come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::billing) struct Sums {
    /// Runs, or generations where they are counted.
    pub(in crate::billing) count: i128,
    pub(in crate::billing) failed: i128,
    pub(in crate::billing) cancelled: i128,
    pub(in crate::billing) blocked: i128,
    pub(in crate::billing) estimated: i128,
    pub(in crate::billing) unpriced: i128,
    pub(in crate::billing) input_tokens: i128,
    pub(in crate::billing) output_tokens: i128,
    pub(in crate::billing) cached_tokens: i128,
    pub(in crate::billing) reasoning_tokens: i128,
    pub(in crate::billing) fuel: i128,
    pub(in crate::billing) wall_ms: i128,
    pub(in crate::billing) memory_peak_bytes: i128,
    pub(in crate::billing) host_calls: i128,
    pub(in crate::billing) tool_calls: i128,
    pub(in crate::billing) egress_bytes: i128,
    pub(in crate::billing) knowledge_queries: i128,
    pub(in crate::billing) cost: Money,
}
