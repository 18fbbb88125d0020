//! What the changes of a batch write, by table: one statement for each, however many runs they are of.

use sqlx::PgConnection;

use super::{Change, End, Leave};
use crate::billing::{self, Bill};
use crate::conversations::{self, Answer};
use crate::guardrails::{self, Violation};
use crate::kit::Result;
use crate::ledger::outbox::{Notice, announce};
use crate::runs::log::record::Key;
use crate::runs::log::step::{Intention, Step};
use crate::runs::log::{Stored, store};

/// The rows of a batch, by table.
#[derive(Default)]
pub(super) struct Rows<'a> {
    steps: Vec<(Key, &'a Step)>,
    events: Vec<(Key, &'a Stored)>,
    intents: Vec<(Key, &'a Intention)>,
    running: Vec<Key>,
    leaves: Vec<(Key, &'a Leave)>,
    ends: Vec<(Key, &'a End)>,
    violations: Vec<&'a Violation>,
    answers: Vec<&'a Answer>,
    notices: Vec<&'a Notice>,
}

impl<'a> Rows<'a> {
    pub(super) fn add(&mut self, change: &'a Change) {
        self.notices.extend(change.notices());
        match change {
            Change::Begin {
                row,
                started,
                violations,
                ..
            } => {
                self.events.push((row.key(), started));
                self.violations.extend(violations);
            }
            Change::Running { key, .. } => self.running.push(*key),
            Change::Events { key, events, .. } => {
                self.events.extend(events.iter().map(|event| (*key, event)));
            }
            Change::Step { key, step, .. } => self.steps.push((*key, &**step)),
            Change::Intend { key, intention, .. } => self.intents.push((*key, &**intention)),
            Change::Leave { key, leave, .. } => {
                let events = leave.events.iter();
                self.events.extend(events.map(|event| (*key, event)));
                self.leaves.push((*key, &**leave));
            }
            Change::End { key, end, .. } => {
                self.events
                    .extend(end.events.iter().map(|event| (*key, event)));
                self.steps.extend(end.steps.iter().map(|step| (*key, step)));
                self.ends.push((*key, &**end));
                self.answers.extend(&end.answer);
                self.violations.extend(&end.violations);
            }
        }
    }

    pub(super) async fn write(&self, tx: &mut PgConnection) -> Result<()> {
        store::mark_running(tx, &self.running).await?;
        // Before the steps: where a run went back, the steps of this batch are of its new life.
        store::insert_intents(tx, &self.intents).await?;
        store::insert_steps(tx, &self.steps).await?;
        store::insert_events(tx, &self.events).await?;
        store::leave_runs(tx, &self.leaves).await?;
        guardrails::insert_violations(tx, &self.violations).await?;
        if !self.ends.is_empty() {
            let bills: Vec<&Bill> = self.ends.iter().map(|(_, end)| &end.bill).collect();
            billing::insert_usage(tx, &bills).await?;
            let held = self.ends.iter().filter(|(_, end)| end.holds);
            let held: Vec<_> = held.map(|(key, _)| (key.org, key.run.0)).collect();
            billing::caps::release(tx, &held).await?;
        }
        let remembering = self.answers.iter().copied().filter(|a| a.remembers);
        let remembering: Vec<&Answer> = remembering.collect();
        conversations::remember(tx, &remembering).await?;
        conversations::answer(tx, &self.answers).await?;
        announce(tx, self.notices.iter().copied()).await
    }
}
