//! The limits of this room.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Endpoints an organization may have.
    pub endpoints_per_org: i64,
    /// How often this host looks for what is to be sent.
    pub poll_ms: u64,
    /// An attempt without an answer after this long has failed.
    pub timeout_ms: u64,
    /// How much of an answer is read and kept.
    pub reply_bytes: usize,
    /// Requests at one time to one endpoint whose last attempt was a success; others get one.
    pub per_endpoint: i64,
    /// Endpoints this host sends to at one time: whose last attempt was a success, that were never tried, whose last
    /// attempt failed.
    pub places: usize,
    pub places_new: usize,
    pub places_failing: usize,
    /// Who takes longer than `slow_after_ms` leaves its place to another, as long as there are no more of them than this.
    pub places_slow: usize,
    pub slow_after_ms: u64,
    /// The longest a receiver may ask for with `Retry-After`.
    pub retry_after_max_ms: u64,
    /// An endpoint that took nothing for this long is disabled.
    pub disable_after_ms: u64,
    /// How long events and their deliveries are kept.
    pub kept_ms: u64,
    /// How long a former secret signs too.
    pub secret_overlap_ms: u64,
    /// Events one replay may send.
    pub replay_max: i64,
    /// Outcomes of attempts in one transaction.
    pub commit_batch: usize,
}

impl Default for Config {
    fn default() -> Self {
        const DAY: u64 = 24 * 3_600_000;
        Self {
            endpoints_per_org: 20,
            poll_ms: 250,
            timeout_ms: 15_000,
            reply_bytes: 8 << 10,
            per_endpoint: 4,
            places: 128,
            places_new: 64,
            places_failing: 64,
            places_slow: 256,
            slow_after_ms: 1_000,
            retry_after_max_ms: DAY,
            disable_after_ms: 5 * DAY,
            kept_ms: 30 * DAY,
            secret_overlap_ms: DAY,
            replay_max: 10_000,
            commit_batch: 256,
        }
    }
}

impl Config {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// A node that holds an endpoint this long without a word is gone.
    pub(super) fn lease(&self) -> Duration {
        self.timeout() + Duration::from_secs(15)
    }

    pub(super) fn disable_after(&self) -> Duration {
        Duration::from_millis(self.disable_after_ms)
    }

    pub(super) fn kept(&self) -> Duration {
        Duration::from_millis(self.kept_ms)
    }

    pub(super) fn secret_overlap(&self) -> Duration {
        Duration::from_millis(self.secret_overlap_ms)
    }
}
