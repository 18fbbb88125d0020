//! Refusals: a layer over every route that writes down, after the answer is known, what a proven key was refused. Of a
//! privileged route every refusal; of any other a missing scope and another's organization. One key's flood of them is
//! bounded: so many rows a minute on each host, then one row that says how many more there were.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::json;
use time::OffsetDateTime;

use super::privileged;
use crate::identity::caller::FORBIDDEN;
use crate::identity::{Caller, KeyId, Proven};
use crate::kit::http::problem::Refused;
use crate::kit::http::request::carried;
use crate::kit::jobs::Job;
use crate::kit::{Base, Result};
use crate::ledger::audit::{Action, Entry, Target, record};

/// How often counts are written.
const EVERY: Duration = Duration::from_secs(60);

/// The layer's state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Refusals {
    base: Base,
    per_minute: u32,
    minutes: Arc<Mutex<HashMap<KeyId, Minute>>>,
}

/// One key's refusals of one minute.
#[derive(Debug)]
struct Minute {
    began: i64,
    written: u32,
    counted: u64,
    caller: Caller,
}

impl Refusals {
    pub fn new(base: &Base, per_minute: u32) -> Self {
        Self {
            base: base.clone(),
            per_minute,
            minutes: Arc::default(),
        }
    }

    pub fn jobs(&self) -> Vec<Job> {
        let refusals = self.clone();
        let count = move || {
            let refusals = refusals.clone();
            async move { refusals.count(false).await }
        };
        vec![Job::new("audit.refusals", EVERY, count)]
    }

    /// Writes how many refusals had no row of their own, of the minutes that are over; of all, where the host stops.
    pub async fn count(&self, all: bool) -> Result<()> {
        let now = minute(self.base.clock.now());
        let mut entries = Vec::new();
        self.lock().retain(|_, minute| {
            let over = all || minute.began < now;
            entries.extend(minute.entry(&self.base).filter(|_| over));
            !over
        });
        self.write(&entries).await
    }

    async fn write(&self, entries: &[Entry]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut tx = self.base.db.begin().await?;
        record(&mut tx, entries).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The rows to write for this refusal: none where it is only counted, two where the minute before had counts.
    fn admit(&self, caller: &Caller, refused: Entry) -> Vec<Entry> {
        let began = minute(self.base.clock.now());
        let fresh = || Minute {
            began,
            written: 0,
            counted: 0,
            caller: caller.clone(),
        };
        let mut minutes = self.lock();
        let minute = minutes.entry(caller.key).or_insert_with(fresh);
        let mut entries = Vec::new();
        if minute.began != began {
            let before = std::mem::replace(minute, fresh());
            entries.extend(before.entry(&self.base));
        }
        if minute.written < self.per_minute {
            minute.written += 1;
            entries.push(refused);
        } else {
            minute.counted += 1;
            metrics::counter!("bulkhead_audit_refusals_counted_total").increment(1);
        }
        entries
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<KeyId, Minute>> {
        self.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minute {
    fn entry(&self, base: &Base) -> Option<Entry> {
        let target = Target::new("api_key", self.caller.key);
        let counted = self.caller.did(Action::RefusalsCounted, target);
        (self.counted > 0).then(|| {
            let detail = json!({ "refusals": self.counted, "minute": self.began });
            counted
                .unasked()
                .at(base.clock.now())
                .refused("counted")
                .detail(&detail)
        })
    }
}

/// Minutes since 1970.
fn minute(at: OffsetDateTime) -> i64 {
    at.unix_timestamp().div_euclid(60)
}

/// The layer. The refusal is written before it is answered, and also where nobody waits for the answer.
pub async fn watch(State(refusals): State<Refusals>, mut request: Request, next: Next) -> Response {
    let proven = Proven::default();
    request.extensions_mut().insert(proven.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let (Some(caller), Some(Refused(code))) = (proven.get(), response.extensions().get()) else {
        return response;
    };
    let action = route.and_then(|route| privileged::action(method.as_str(), route.as_str()));
    let foreign = path.split('/').nth(3) != Some(&*caller.slug);
    if !response.status().is_client_error()
        || (action.is_none() && *code != FORBIDDEN.code && !foreign)
    {
        return response;
    }
    let detail = json!({ "method": method.as_str(), "status": response.status().as_u16() });
    let refused = caller
        .did(
            action.unwrap_or(Action::RequestRefused),
            Target::new("path", path),
        )
        .refused(code)
        .detail(&detail);
    let entries = refusals.admit(caller, refused);
    let tasks = refusals.base.tasks.clone();
    let written = tasks.spawn(carried(async move { refusals.write(&entries).await }));
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, cause = error.chain(), "a refusal was not written to the audit log");
            metrics::counter!("bulkhead_audit_refusals_lost_total").increment(1);
        }
        Err(panic) => tracing::error!(%panic, "a refusal was not written to the audit log"),
    }
    response
}
