//! A run that has ended, read back whole: what it was begun with, its journal, and what stands in its log.

use std::collections::BTreeMap;

use super::store;
use crate::identity::Caller;
use crate::kit::{OrgId, Result};
use crate::limits;
use crate::runs::journal::Past;
use crate::runs::log::{Stored, all_events, standing};
use crate::runs::start::Message;
use crate::runs::{RunView, Runs, life};

/// Everything that is known of a run that has ended.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) org: OrgId,
    pub(super) view: RunView,
    pub(super) seed: [u8; 32],
    pub(super) messages: Vec<Message>,
    pub(super) limits: Option<limits::Digest>,
    /// More than one where a host died with it, or it slept for long.
    pub(super) lives: i32,
    pub(super) past: Past,
    /// What each step asked, as text.
    pub(super) requests: BTreeMap<i32, String>,
    /// What stands in its log, without its first event and its last.
    pub(super) said: Vec<Stored>,
}

impl Found {
    /// It was stopped from outside: nothing in it says where it ends.
    pub(super) fn was_stopped(&self) -> bool {
        let reason = self.view.stop_reason.as_deref();
        matches!(reason, Some("cancelled" | "deadline" | "host_error"))
    }

    /// The fuel at which the run was stopped from outside. Another version uses other fuel.
    pub(super) fn stopped_at(&self, version: i32) -> Option<u64> {
        let used = self.view.usage.map_or(0, |usage| usage.fuel);
        let here = self.was_stopped() && version == self.view.version;
        here.then(|| u64::try_from(used).unwrap_or(0))
    }
}

impl Runs {
    pub(super) async fn find_ended(&self, caller: &Caller, view: RunView) -> Result<Found> {
        let (db, org, run) = (&self.inner.db, caller.org, view.id);
        let row = store::begun_as(db, org, run).await?;
        let (past, _) = life::past(db, org, run).await?;
        let (requests, past) = store::with_requests(db, (org, run), past).await?;
        let mut said = standing(&all_events(db, org, run).await?);
        said.retain(|event| !event.is_last());
        Ok(Found {
            org,
            view,
            seed: row.seed,
            messages: row.messages,
            limits: row.limits,
            lives: row.term,
            past,
            requests,
            said,
        })
    }
}
