//! Holds back from connections that keep failing, so that a dead provider costs its callers no wait. After a rest one
//! request may try it; its answer closes the breaker, its failure begins another rest.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moka::sync::Cache;
use time::OffsetDateTime;

use super::super::{Config, ConnectionId, GenerateError};
use super::fault::Fault;

const CONNECTIONS_MAX: u64 = 10_000;

#[derive(Clone, Debug)]
pub(super) struct Breakers {
    of: Cache<ConnectionId, Arc<Mutex<Breaker>>>,
    failures_max: u32,
    rest: Duration,
}

#[derive(Debug, Default)]
struct Breaker {
    /// In a row.
    failures: u32,
    /// No request before this; the first one after it moves it on, so that only one tries.
    rests_until: Option<OffsetDateTime>,
}

impl Breakers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            of: Cache::new(CONNECTIONS_MAX),
            failures_max: config.breaker_failures.max(1),
            rest: Duration::from_millis(config.breaker_rest_ms),
        }
    }

    /// Refuses while the connection rests.
    pub(super) fn admit(&self, id: ConnectionId, now: OffsetDateTime) -> Result<(), GenerateError> {
        let Some(breaker) = self.of.get(&id) else {
            return Ok(());
        };
        let mut breaker = breaker.lock().unwrap_or_else(|e| e.into_inner());
        let Some(until) = breaker.rests_until else {
            return Ok(());
        };
        if now < until {
            let wait = (until - now).whole_seconds().max(1);
            return Err(GenerateError::Provider(format!(
                "The connection failed {} times in a row and rests; it is tried again in {wait} s.",
                breaker.failures
            )));
        }
        breaker.rests_until = Some(now + self.rest);
        Ok(())
    }

    pub(super) fn failed(&self, id: ConnectionId, fault: &Fault, now: OffsetDateTime) {
        if !fault.is_outage() {
            return self.answered(id);
        }
        let breaker = self.of.get_with(id, Arc::default);
        let mut breaker = breaker.lock().unwrap_or_else(|e| e.into_inner());
        breaker.failures += 1;
        if breaker.failures >= self.failures_max {
            if breaker.rests_until.is_none() {
                show(id, 1.0);
            }
            breaker.rests_until = Some(now + self.rest);
        }
    }

    /// The connection answered, if only with a refusal.
    pub(super) fn answered(&self, id: ConnectionId) {
        let Some(breaker) = self.of.get(&id) else {
            return;
        };
        let mut breaker = breaker.lock().unwrap_or_else(|e| e.into_inner());
        breaker.failures = 0;
        if breaker.rests_until.take().is_some() {
            show(id, 0.0);
        }
    }
}

/// Only connections that ever rested have a line.
fn show(id: ConnectionId, open: f64) {
    metrics::gauge!("bulkhead_model_breaker_open", "connection" => id.to_string()).set(open);
}
