//! Writing one run's log: numbers events and steps without a gap, hands them to the group commit in order, and keeps
//! the text that was said. Shared by the guest's host calls and by whoever ends the run; a guest dropped in the middle
//! of a write leaves no hole, because a number is taken only when the write can no longer wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use super::{Change, Event, Live, Stored};
use crate::kit::commit::{Durable, Writer};
use crate::kit::{Clock, OrgId, Result, Tasks};
use crate::runs::RunId;

/// Writes of one run that may be on their way: a guest that says more waits.
const UNSETTLED_MAX: usize = 64;

/// Events that may wait for company before they are written, and for how long: what a guest says in one breath is
/// one write, and what it says last goes with its end.
const HELD_MAX: usize = 32;
const HELD_FOR: Duration = Duration::from_millis(2);

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
    tasks: Tasks,
    state: Mutex<State>,
}

struct State {
    next_event: i32,
    text: String,
    /// Numbered, and not yet handed to the writer.
    held: Vec<Stored>,
    unsettled: VecDeque<Durable>,
}

/// What an end has to write besides itself.
#[derive(Debug)]
pub struct Rest {
    pub held: Vec<Stored>,
    /// The number the terminal event takes.
    pub next_event: i32,
    /// All text that was said.
    pub text: String,
}

impl Record {
    /// A log that already holds `events` events.
    pub fn new(
        key: Key,
        live: Arc<Live>,
        events: i32,
        (writer, clock, tasks): (Writer<Change>, Clock, Tasks),
    ) -> Arc<Self> {
        let state = State {
            next_event: events + 1,
            text: String::new(),
            held: Vec::new(),
            unsettled: VecDeque::new(),
        };
        Arc::new(Self {
            key,
            live,
            clock,
            writer,
            tasks,
            state: Mutex::new(state),
        })
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Adds an event; returns before it is durable. It is on its way within `HELD_FOR`.
    pub async fn say(self: &Arc<Self>, event: Event) -> Result<()> {
        self.make_room().await?;
        let held = self.hold(&event)?;
        if held >= HELD_MAX {
            self.flush().await?;
        } else if held == 1 {
            let record = Arc::clone(self);
            self.tasks.spawn(async move {
                tokio::time::sleep(HELD_FOR).await;
                // A host that is stopping writes what is held with the run's end.
                let _ = record.flush().await;
            });
        }
        Ok(())
    }

    /// Hands over what is held. Nothing waits between taking it and sending it, so nothing is lost on the way.
    pub async fn flush(&self) -> Result<()> {
        if self.lock().held.is_empty() {
            return Ok(());
        }
        let slot = self.writer.reserve(self.key.run.0.as_u128()).await?;
        let mut state = self.lock();
        if state.held.is_empty() {
            return Ok(());
        }
        let (key, live) = (self.key, Arc::clone(&self.live));
        let events = std::mem::take(&mut state.held);
        let durable = slot.send(Change::Events { key, live, events });
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

    /// For the end, which writes what is still held with itself.
    pub fn rest(&self) -> Rest {
        let mut state = self.lock();
        Rest {
            held: std::mem::take(&mut state.held),
            next_event: state.next_event,
            text: state.text.clone(),
        }
    }

    /// Numbers an event; how many are held with it.
    fn hold(&self, event: &Event) -> Result<usize> {
        let mut state = self.lock();
        let stored = event.store(state.next_event, self.clock.now())?;
        state.next_event += 1;
        if let Event::Text { text } = event {
            state.text.push_str(text);
        }
        state.held.push(stored);
        Ok(state.held.len())
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
