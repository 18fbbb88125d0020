//! Writing one run's log: numbers events and steps without a gap, hands them to the group commit in order, and keeps
//! the text that was said. Shared by the guest's host calls and by whoever ends the run; a guest dropped in the middle
//! of a write leaves no hole, because a number is taken only when the write can no longer wait.

mod left;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;

use self::left::Unsent;
use super::shown::Shown;
use super::step::{DIVERGED, Intention};
use super::{Change, Event, Live, Step, Stored, standing, tool_calls};
use crate::guardrails::Guard;
use crate::kit::commit::{Committed, Durable, Writer};
use crate::kit::{Clock, Error, OrgId, Result, Tasks};
use crate::runs::RunId;
use crate::sandbox::Meter;

/// Writes of one run that may be on their way: a guest that says more waits.
const UNSETTLED_MAX: usize = 64;

/// Events that may wait for company before they are written, and for how long: what a guest says in one breath is
/// one write, and what it says last goes with its end.
const HELD_MAX: usize = 32;
const HELD_BYTES_MAX: usize = 64 << 10;
const HELD_FOR: Duration = Duration::from_millis(2);

pub(super) const TOOL_CALL: &str = "tool_call";

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
    sink: Sink,
    state: Mutex<State>,
}

/// Where what is said goes.
enum Sink {
    Log(Writer<Change>, Tasks),
    /// Nowhere: a replay holds it, and the meter tells in which call it was said.
    Held(Arc<Meter>),
}

pub(super) struct State {
    next_event: i32,
    /// How many host calls a replay had begun when it said its last event.
    last_said_in: u64,
    tool_calls: i64,
    text: String,
    shown: Shown,
    /// What a replay had said before its last call that says something.
    pub(super) before_last: Option<Before>,
    /// What an earlier life said and this one has not come to yet.
    said: VecDeque<Stored>,
    /// Answers that were incomplete when their guest was dropped.
    left: Vec<Step>,
    /// Numbered, and not yet handed to the writer.
    pub(super) held: Vec<Stored>,
    held_bytes: usize,
    unsettled: VecDeque<Durable>,
}

/// A place in what a replay says.
pub(super) struct Before {
    pub(super) held: usize,
    pub(super) shown: Shown,
}

impl State {
    fn new(next_event: i32, said: VecDeque<Stored>, guard: &Arc<Guard>) -> Self {
        Self {
            next_event,
            last_said_in: 0,
            tool_calls: 0,
            text: String::new(),
            shown: Shown::new(guard),
            before_last: None,
            said,
            left: Vec::new(),
            held: Vec::new(),
            held_bytes: 0,
            unsettled: VecDeque::new(),
        }
    }
}

/// What an end has to write besides itself.
#[derive(Debug)]
pub struct Rest {
    pub held: Vec<Stored>,
    /// The number the terminal event takes.
    pub next_event: i32,
    /// All text that was said.
    pub text: String,
    /// Answers the guest had not taken whole.
    pub steps: Vec<Step>,
    /// An earlier life said more than this one came to.
    pub unsaid: bool,
    /// Calls of tools that were said.
    pub tool_calls: i64,
}

/// What was withdrawn because its generation is made again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Withdrawn {
    pub chars: u64,
}

impl Record {
    /// The log of a run whose earlier lives said `said`; the first event is the host's own.
    pub fn new(
        key: Key,
        live: Arc<Live>,
        said: &[Stored],
        guard: &Arc<Guard>,
        (writer, clock, tasks): (Writer<Change>, Clock, Tasks),
    ) -> Arc<Self> {
        let state = State::new(
            said.last().map_or(0, |event| event.seq) + 1,
            standing(said).into(),
            guard,
        );
        Arc::new(Self {
            key,
            live,
            clock,
            sink: Sink::Log(writer, tasks),
            state: Mutex::new(state),
        })
    }

    /// The log of a replay: it holds what is said, numbered as the run numbered it, and writes nothing.
    pub fn held(key: Key, clock: Clock, meter: Arc<Meter>, guard: &Arc<Guard>) -> Arc<Self> {
        Arc::new(Self {
            key,
            live: Live::new(key.run),
            clock,
            sink: Sink::Held(meter),
            state: Mutex::new(State::new(2, VecDeque::new(), guard)),
        })
    }

    /// How many host calls a replay had begun when it said its last event.
    pub fn last_said_in(&self) -> u64 {
        self.lock().last_said_in
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Adds an event; returns before it is durable. It is on its way within `HELD_FOR`. What an earlier life has said
    /// is not said again, and must be the same.
    pub async fn say(self: &Arc<Self>, event: Event) -> Result<()> {
        for event in self.shown(event) {
            self.add(event).await?;
        }
        Ok(())
    }

    /// The guest asks for something outside: what it said before does not wait for what it may say after.
    pub async fn pause(self: &Arc<Self>) -> Result<()> {
        let Some(rest) = self.lock().shown.rest() else {
            return Ok(());
        };
        self.add(rest).await
    }

    pub fn pause_held(&self) -> Result<()> {
        let rest = self.lock().shown.rest();
        rest.map_or(Ok(()), |rest| self.hold(&rest).map(drop))
    }

    /// What a client may see of an event. What was said before it is seen before it.
    fn shown(&self, event: Event) -> impl Iterator<Item = Event> {
        let mut state = self.lock();
        if let Sink::Held(meter) = &self.sink {
            state.last_said_in = meter.host_calls();
            state.before_last = Some(Before {
                held: state.held.len(),
                shown: state.shown.clone(),
            });
        }
        let ends = !matches!(event, Event::Text { .. });
        let rest = ends.then(|| state.shown.rest()).flatten();
        rest.into_iter().chain(state.shown.event(event))
    }

    async fn add(self: &Arc<Self>, event: Event) -> Result<()> {
        if self.has_said(&event)? {
            return Ok(());
        }
        let Sink::Log(_, tasks) = &self.sink else {
            return self.hold(&event).map(drop);
        };
        self.make_room().await?;
        let held = self.hold(&event)?;
        if held >= HELD_MAX {
            self.flush().await?;
        } else if held == 1 {
            let record = Arc::clone(self);
            tasks.spawn(async move {
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
        let bytes = self.lock().held_bytes;
        let key = self.key.run.0.as_u128();
        let slot = self.writer()?.reserve(key, bytes).await?;
        let mut state = self.lock();
        if state.held.is_empty() {
            return Ok(());
        }
        state.held_bytes = 0;
        let (key, live) = (self.key, Arc::clone(&self.live));
        let events = std::mem::take(&mut state.held);
        let durable = slot.send(Change::Events { key, live, events });
        state.unsettled.push_back(durable);
        Ok(())
    }

    /// Adds a step; returns once it is queued.
    ///
    /// What is `kept` goes with the run's end where the guest is dropped while its step waits for room: it is metered.
    pub async fn step(&self, step: Step, kept: bool) -> Result<()> {
        let (bytes, unsent) = (step.bytes(), Unsent::new(self, step, kept));
        self.make_room().await?;
        let key = self.key.run.0.as_u128();
        let slot = self.writer()?.reserve(key, bytes).await?;
        let durable = slot.send(Change::Step {
            key: self.key,
            live: Arc::clone(&self.live),
            step: unsent.step(),
        });
        self.lock().unsettled.push_back(durable);
        Ok(())
    }

    /// Writes an intent; returns once it, and everything before it, is durable.
    pub async fn intend(&self, intention: Intention) -> Result<Committed> {
        self.flush().await?;
        let change = Change::Intend {
            key: self.key,
            live: Arc::clone(&self.live),
            intention: Box::new(intention),
        };
        let lane = self.key.run.0.as_u128();
        let durable = self.writer()?.push(lane, change).await?;
        durable.wait().await
    }

    /// The run goes where no earlier life's answer is recorded. What an earlier life said beyond this place was of a
    /// generation that is lost: it is void from here on.
    pub fn withdraw(&self) -> Result<Withdrawn> {
        let mut state = self.lock();
        let Some(first) = state.said.front() else {
            return Ok(Withdrawn::default());
        };
        let event = Event::Retract { from: first.seq }.store(state.next_event, self.clock.now())?;
        let texts = std::mem::take(&mut state.said);
        let chars = texts.iter().filter_map(Stored::text);
        let chars = chars.map(|text| text.chars().count() as u64).sum();
        state.next_event += 1;
        state.held.push(event);
        Ok(Withdrawn { chars })
    }

    /// For the end, which writes what is still held with itself. What an earlier life had shown and this one did not
    /// come to was shown all the same.
    pub fn rest(&self) -> Result<Rest> {
        let last = self.lock().shown.rest();
        if let Some(last) = last {
            let further = self.lock().said.front().cloned();
            match further {
                None => drop(self.hold(&last)?),
                // An earlier life has said it, or came further.
                Some(said) if *said.data == *last.store(said.seq, said.at)?.data => {
                    self.has_said(&last)?;
                }
                Some(_) => {}
            }
        }
        let mut state = self.lock();
        let mut text = state.text.clone();
        text.extend(state.said.iter().filter_map(Stored::text));
        Ok(Rest {
            held: std::mem::take(&mut state.held),
            next_event: state.next_event,
            text,
            steps: std::mem::take(&mut state.left),
            unsaid: !state.said.is_empty(),
            tool_calls: state.tool_calls + tool_calls(state.said.iter()),
        })
    }

    /// What is not written yet of a run that goes on elsewhere, or later. What is held back of its text stays so: its
    /// next life says it again.
    pub fn leaves(&self) -> Vec<Stored> {
        std::mem::take(&mut self.lock().held)
    }

    /// The guardrails of this life.
    pub fn guard(&self) -> Arc<Guard> {
        Arc::clone(self.lock().shown.guard())
    }

    /// Whether an earlier life said this event here.
    fn has_said(&self, event: &Event) -> Result<bool> {
        let mut state = self.lock();
        let Some(said) = state.said.front() else {
            return Ok(false);
        };
        let again = event.store(said.seq, said.at)?;
        if (&again.kind, &again.data) != (&said.kind, &said.data) {
            let detail = format!("Event {} was another before.", said.seq);
            return Err(DIVERGED.because(detail));
        }
        state.said.pop_front();
        state.tool_calls += i64::from(&*again.kind == TOOL_CALL);
        if let Event::Text { text } = event {
            state.text.push_str(text);
        }
        Ok(true)
    }

    /// Numbers an event; how many are held with it, `HELD_MAX` where they are as many bytes as may be.
    fn hold(&self, event: &Event) -> Result<usize> {
        let mut state = self.lock();
        let stored = event.store(state.next_event, self.clock.now())?;
        state.next_event += 1;
        state.tool_calls += i64::from(&*stored.kind == TOOL_CALL);
        if let Event::Text { text } = event {
            state.text.push_str(text);
        }
        state.held_bytes += stored.data.len();
        state.held.push(stored);
        let full = state.held_bytes >= HELD_BYTES_MAX;
        Ok(if full { HELD_MAX } else { state.held.len() })
    }

    fn writer(&self) -> Result<&Writer<Change>> {
        match &self.sink {
            Sink::Log(writer, _) => Ok(writer),
            Sink::Held(_) => Err(Error::internal("a replay asked to write")),
        }
    }

    async fn make_room(&self) -> Result<()> {
        let oldest = {
            let mut state = self.lock();
            (state.unsettled.len() >= UNSETTLED_MAX)
                .then(|| state.unsettled.pop_front())
                .flatten()
        };
        match oldest {
            Some(durable) => durable.wait().await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
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
