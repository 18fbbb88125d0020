//! The journal of a replay: it answers from what is recorded, by order and kind, and asks nobody. It can give no
//! permission for an effect, since only a commit makes one. Where it has no answer the replay ends, and it keeps why.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use serde_json::Value;
use time::OffsetDateTime;

use super::Found;
use super::report::{Asked, Beyond, TEXT_MAX, There, cut};
use crate::kit::{Error, Result};
use crate::runs::journal::Recorded;
use crate::runs::log::Record;
use crate::runs::log::step::{DIVERGED, request_digest};
use crate::sandbox::{Answered, Begun, Intended, Journal, Meter, Repeat, Ticket};

/// Requests that differ and are kept; there may be as many as steps.
const ASKED_MAX: usize = 100;

/// What a replay asked, readable while it runs and after.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// How many steps were answered.
    steps: i32,
    last_kind: &'static str,
    differ: Vec<Asked>,
    beyond: Option<Beyond>,
}

/// What is left of `Seen` when the guest is gone.
#[derive(Debug)]
pub(super) struct Saw {
    pub(super) steps: i32,
    pub(super) differ: Vec<Asked>,
    pub(super) beyond: Option<Beyond>,
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last answer could not be given out: the guest took more of a generation than there is, or it is not an
    /// answer to what was asked.
    pub(super) fn unreadable(&self, took_more: bool) {
        let mut state = self.lock();
        let (step, kind) = (state.steps, state.last_kind);
        let (why, there) = match took_more {
            true => (
                "The guest takes more of a generation than was taken of it.".to_owned(),
                There::Nothing,
            ),
            false => (
                format!("diverged: Step {step} cannot be read."),
                There::Altered,
            ),
        };
        if state.beyond.is_none() {
            state.stop((step, kind), why, there);
        }
    }

    pub(super) fn take(&self) -> Saw {
        let state = std::mem::take(&mut *self.lock());
        Saw {
            steps: state.steps,
            differ: state.differ,
            beyond: state.beyond,
        }
    }
}

/// Answers one replay.
pub(super) struct Answers {
    found: Arc<Found>,
    meter: Arc<Meter>,
    seen: Seen,
    record: Arc<Record>,
    /// Another version may ask something else; the same one may not.
    lenient: bool,
}

impl Answers {
    pub(super) fn new(
        found: Arc<Found>,
        meter: Arc<Meter>,
        (seen, record): (Seen, Arc<Record>),
        lenient: bool,
    ) -> Self {
        Self {
            found,
            meter,
            seen,
            record,
            lenient,
        }
    }

    fn answer(&mut self, kind: &'static str, request: &Value) -> Result<Answered> {
        self.record.pause_held()?;
        let mut seen = self.seen.lock();
        let seq = seen.steps + 1;
        seen.last_kind = kind;
        let step = match self.fitting(seq, kind) {
            Ok(step) => step,
            Err((why, there)) => return Err(seen.stop((seq, kind), why, there)),
        };
        if step.request_digest != request_digest(kind, request) {
            if !self.lenient {
                let why = format!("diverged: Step {seq} asked `{kind}` something else before.");
                return Err(seen.stop((seq, kind), why, There::Another));
            }
            if seen.differ.len() < ASKED_MAX {
                let recorded = self.found.requests.get(&seq);
                seen.differ.push(Asked {
                    step: seq,
                    kind: kind.to_owned(),
                    recorded: cut(recorded.map_or("", String::as_str), TEXT_MAX),
                    replayed: cut(&request.to_string(), TEXT_MAX),
                });
            }
        }
        let Ok(response) = serde_json::from_str(&step.response) else {
            let why = format!("diverged: Step {seq} cannot be read.");
            return Err(seen.stop((seq, kind), why, There::Altered));
        };
        seen.steps = seq;
        Ok(Answered {
            seq,
            response,
            ended_at: step.ended_at,
        })
    }

    /// The step that is recorded there; else why there is none, and what is there.
    fn fitting(&self, seq: i32, kind: &str) -> Result<&Recorded, (String, There)> {
        let steps = &self.found.past.steps;
        let Some(step) = steps.get(&seq) else {
            return Err(match steps.range(seq..).next() {
                Some((later, _)) => {
                    let why = format!("diverged: There is no step {seq}, but a step {later}.");
                    (why, There::Altered)
                }
                None => (format!("The journal has no step {seq}."), There::Nothing),
            });
        };
        if !step.intact {
            return Err((format!("diverged: Step {seq} was altered."), There::Altered));
        }
        if step.kind != kind {
            let why = format!("Step {seq} was `{}`, the guest asked `{kind}`.", step.kind);
            let diverged = if self.lenient { "" } else { "diverged: " };
            return Err((format!("{diverged}{why}"), There::Another));
        }
        Ok(step)
    }
}

impl State {
    fn stop(&mut self, (step, kind): (i32, &str), why: String, there: There) -> Error {
        let error = DIVERGED.because(why.clone());
        self.beyond = Some(Beyond {
            step: Some(step),
            kind: Some(kind.to_owned()),
            why,
            there,
        });
        error
    }
}

impl Journal for Answers {
    fn begin<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
    ) -> BoxFuture<'a, wasmtime::Result<Begun>> {
        let answered = self.answer(kind, &request).map(Begun::Recorded);
        Box::pin(async { answered.map_err(wasmtime::Error::new) })
    }

    fn intend<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
        _repeat: Repeat,
    ) -> BoxFuture<'a, wasmtime::Result<Intended>> {
        let answered = self.answer(kind, &request).map(Intended::Recorded);
        Box::pin(async { answered.map_err(wasmtime::Error::new) })
    }

    fn end<'a>(
        &'a mut self,
        ticket: Ticket,
        _response: Value,
        _ok: bool,
    ) -> BoxFuture<'a, wasmtime::Result<()>> {
        let error = Error::internal(format!("a replay asked the outside: {ticket:?}"));
        Box::pin(async { Err(wasmtime::Error::new(error)) })
    }

    fn arrive(&mut self, ended_at: OffsetDateTime) {
        self.meter.advance_to(ended_at);
    }

    fn pending(&self) -> usize {
        0
    }
}
