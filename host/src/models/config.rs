//! The room's limits, every one with its default; read from the host's configuration under `models`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether a connection may use plain http, and then to this machine only. For development.
    pub allow_http_models: bool,
    /// How often a request is sent before its failure is told.
    pub tries: u32,
    /// The wait before the second try; doubled for each further one, with jitter.
    pub backoff_ms: u64,
    /// The longest `Retry-After` that is waited for here; a longer one is told to the guest.
    pub retry_after_max_ms: u64,
    /// From sending the request to the first byte of the answer.
    pub first_byte_ms: u64,
    /// Between two reads of an answer.
    pub idle_ms: u64,
    /// A whole generation, tries included.
    pub total_ms: u64,
    /// One event of the stream, and one tool call.
    pub event_bytes_max: usize,
    /// Text and tool calls of one answer.
    pub answer_bytes_max: usize,
    /// Everything read from the wire for one answer.
    pub wire_bytes_max: usize,
    /// Failures in a row after which a connection rests.
    pub breaker_failures: u32,
    /// How long it rests before one request may try it again.
    pub breaker_rest_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allow_http_models: false,
            tries: 3,
            backoff_ms: 250,
            retry_after_max_ms: 10_000,
            first_byte_ms: 120_000,
            idle_ms: 60_000,
            total_ms: 600_000,
            event_bytes_max: 1 << 20,
            answer_bytes_max: 4 << 20,
            wire_bytes_max: 64 << 20,
            breaker_failures: 5,
            breaker_rest_ms: 10_000,
        }
    }
}

impl Config {
    /// Tiny limits, and a provider on this machine.
    pub fn for_test() -> Self {
        Self {
            allow_http_models: true,
            backoff_ms: 2,
            retry_after_max_ms: 1_000,
            first_byte_ms: 1_000,
            idle_ms: 500,
            total_ms: 10_000,
            event_bytes_max: 16 << 10,
            answer_bytes_max: 64 << 10,
            wire_bytes_max: 1 << 20,
            breaker_rest_ms: 5_000,
            ..Self::default()
        }
    }

    pub(super) fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    pub(super) fn total(&self) -> Duration {
        Duration::from_millis(self.total_ms)
    }
}
