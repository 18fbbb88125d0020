//! Writing one run's log: numbers events and steps without a gap, hands them to the group commit in order, and keeps
//! the text that was said. Shared by the guest's host calls and by whoever ends the run; a guest dropped in the middle
//! of a write leaves no hole, because a number is taken only when the write can no longer wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::{Change, Event, Live};
use crate::kit::commit::{Durable, Writer};
use crate::kit::{Clock, OrgId, Result};
use crate::runs::RunId;

/// Writes of one run that may be on their way: a guest that says more waits.
const UNSETTLED_MAX: usize = 64;

/// One row of the journal.
#[derive(Clone, Debug)]
pub struct Step {
    pub seq: i32,
    pub kind: &'static str,
    pub request_digest: [u8; 32],
    pub request: String,
    pub response: String,
    pub started_at: OffsetDateTime,
    pub ended_at: OffsetDateTime,
    pub fuel_before: i64,
    pub ok: bool,
}

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub org: OrgId,
    pub run: RunId,
    /// Who may write: the lease this log is written under.
    pub term: i32,
}

/// The log of a run under way.
pub struct Record {
    pub key: Key,
    pub live: Arc<Live>,
    clock: Clock,
    writer: Writer<Change>,
    state: Mutex<State>,
}

struct State {
    next_event: i32,
    text: String,
    unsettled: VecDeque<Durable>,
}

impl Record {
    /// A log that already holds `events` events.
    pub fn new(
        key: Key,
        live: Arc<Live>,
        events: i32,
        (writer, clock): (Writer<Change>, Clock),
    ) -> Arc<Self> {
        let state = State {
            next_event: events + 1,
            text: String::new(),
            unsettled: VecDeque::new(),
        };
        Arc::new(Self {
            key,
            live,
            clock,
            writer,
            state: Mutex::new(state),
        })
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Adds an event; returns once it is queued, before it is durable.
    pub async fn say(&self, event: Event) -> Result<()> {
        self.make_room().await?;
        let slot = self.writer.reserve(self.key.run.0.as_u128()).await?;
        let mut state = self.lock();
        let stored = event.store(state.next_event, self.clock.now())?;
        state.next_event += 1;
        if let Event::Text { text } = &event {
            state.text.push_str(text);
        }
        let live = Arc::clone(&self.live);
        let durable = slot.send(Change::Event {
            key: self.key,
            live,
            event: stored,
        });
        state.unsettled.push_back(durable);
        Ok(())
    }

    /// Adds a step; returns once it is queued.
    pub async fn step(&self, step: Step) -> Result<()> {
        self.make_room().await?;
        let slot = self.writer.reserve(self.key.run.0.as_u128()).await?;
        let live = Arc::clone(&self.live);
        let durable = slot.send(Change::Step {
            key: self.key,
            live,
            step: Box::new(step),
        });
        self.lock().unsettled.push_back(durable);
        Ok(())
    }

    /// Waits until everything said so far is durable.
    pub async fn settle(&self) -> Result<()> {
        loop {
            let oldest = self.lock().unsettled.pop_front();
            match oldest {
                Some(durable) => durable.wait().await?,
                None => return Ok(()),
            }
        }
    }

    /// The number the next event takes, and the text said so far.
    pub fn so_far(&self) -> (i32, String) {
        let state = self.lock();
        (state.next_event, state.text.clone())
    }

    async fn make_room(&self) -> Result<()> {
        let oldest = {
            let mut state = self.lock();
            (state.unsettled.len() >= UNSETTLED_MAX)
                .then(|| state.unsettled.pop_front())
                .flatten()
        };
        match oldest {
            Some(durable) => durable.wait().await,
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
