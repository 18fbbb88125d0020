//! The thread's host: what the capability modules reach off the wasm target. One run at a time on each thread.
//! Invariant: a host is in place exactly while `serve` runs the agent, also when the agent panics.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Answer;
use super::memory::Texts;
use super::passages::Passages;
use super::recording::past::Past;
use super::transcript::{Cited, Event, Transcript};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::knowledge::{Hit, Query};
use crate::log::Level;
use crate::model::{Chunk, Request};
use crate::output::Citation;
use crate::turn::Outcome;

/// What a query's text may hold, by the contract.
const QUERY_BYTES: usize = 4096;

/// What a status may hold, by the contract.
const STATUS_BYTES: usize = 256;

/// The longest sleep, by the contract.
const SLEEP_MAX: Duration = Duration::from_secs(24 * 60 * 60);

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

pub(super) struct Host {
    answers: VecDeque<Answer>,
    passages: Passages,
    clock: Instant,
    hits: HashMap<String, Hit>,
    /// What answers instead of the script and the passages, where a recording does.
    past: Option<Past>,
    calls: u32,
    pub(super) settings: Texts,
    /// What the run has set in its memory, in sum.
    pub(super) set_bytes: usize,
    pub(super) transcript: Transcript,
}

impl Host {
    pub(super) fn new(
        answers: VecDeque<Answer>,
        passages: Passages,
        clock: Instant,
        (memory, settings): (Texts, Texts),
    ) -> Self {
        let transcript = Transcript {
            events: Vec::new(),
            requests: Vec::new(),
            queries: Vec::new(),
            log: Vec::new(),
            memory,
            answers_left: 0,
            outcome: Ok(Outcome::EndTurn),
        };
        Self {
            answers,
            passages,
            clock,
            hits: HashMap::new(),
            past: None,
            calls: 0,
            settings,
            set_bytes: 0,
            transcript,
        }
    }

    /// A host that answers as it did once.
    pub(super) fn recorded(past: Past, clock: Instant, settings: Texts) -> Self {
        Self {
            past: Some(past),
            ..Self::new(
                VecDeque::new(),
                Passages::default(),
                clock,
                (Texts::new(), settings),
            )
        }
    }

    /// What the memory answered once, where a recording answers.
    pub(super) fn remembered<T: DeserializeOwned>(
        &mut self,
        kind: &str,
        request: &Value,
    ) -> Option<Result<T>> {
        let (answer, ended_at) = self.past.as_mut()?.memory(kind, request);
        self.clock = ended_at;
        Some(answer)
    }

    fn says(&mut self, event: Event) {
        self.transcript.events.push(event);
    }
}

/// Runs the agent with this host in place; answers what it did, and what is left of the recording.
pub(super) fn serve(
    host: Host,
    agent: impl FnOnce() -> Result<Outcome>,
) -> (Transcript, Option<Past>) {
    struct Cleared;
    impl Drop for Cleared {
        fn drop(&mut self) {
            HOST.take();
        }
    }

    let earlier = HOST.replace(Some(host));
    assert!(
        earlier.is_none(),
        "an agent runs on this thread already: a run cannot start another"
    );
    let cleared = Cleared;
    let outcome = agent();
    let host = HOST
        .take()
        .expect("nothing takes the host away while the agent runs");
    drop(cleared);
    let transcript = Transcript {
        answers_left: host.answers.len(),
        outcome,
        ..host.transcript
    };
    (transcript, host.past)
}

/// A generation of the script, or of a recording.
pub(crate) struct Generation {
    pieces: VecDeque<Result<Chunk>>,
    /// When a recorded one ended: the clock is there once it is taken, or let go of.
    ended_at: Option<Instant>,
}

impl Generation {
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>> {
        let piece = self.pieces.pop_front();
        if piece.is_none() && self.ended_at.is_some() {
            panic!("the agent takes more of a generation than the recorded run took of it");
        }
        if matches!(piece, Some(Err(_) | Ok(Chunk::Finish(_)))) {
            self.arrive();
        }
        piece.transpose()
    }

    fn arrive(&mut self) {
        let Some(ended_at) = self.ended_at.take() else {
            return;
        };
        // It may be let go of where no host is any more.
        HOST.with_borrow_mut(|host| {
            if let Some(host) = host {
                host.clock = ended_at;
            }
        });
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.arrive();
    }
}

pub(crate) fn generate(request: &Request) -> Result<Generation> {
    with(|host| {
        host.transcript.requests.push(request.clone());
        if let Some(past) = &mut host.past {
            let (pieces, ended_at) = past.generation(request);
            if pieces.is_err() {
                host.clock = ended_at;
            }
            return pieces.map(|pieces| Generation {
                pieces,
                ended_at: Some(ended_at),
            });
        }
        let answer = host.answers.pop_front().unwrap_or_else(|| {
            panic!(
                "the agent asked for generation {}, and MockHost has no answer for it: add `.model(…)`",
                host.transcript.requests.len()
            )
        });
        answer.steps().map(|pieces| Generation {
            pieces,
            ended_at: None,
        })
    })
}

pub(crate) fn search(query: &Query) -> Result<Vec<Hit>> {
    with(|host| {
        host.transcript.queries.push(query.clone());
        if query.text.is_empty() || query.text.len() > QUERY_BYTES {
            return Err(Error::Invalid(format!(
                "text has {} bytes, not 1 to {QUERY_BYTES}",
                query.text.len()
            )));
        }
        if !(1..=32).contains(&query.limit) {
            return Err(Error::Invalid(format!(
                "limit is {}, not 1 to 32",
                query.limit
            )));
        }
        let hits = match &mut host.past {
            Some(past) => {
                let (hits, ended_at) = past.search(query);
                host.clock = ended_at;
                hits?
            }
            None => host.passages.search(query)?,
        };
        host.hits
            .extend(hits.iter().map(|hit| (hit.handle.clone(), hit.clone())));
        Ok(hits)
    })
}

pub(crate) fn text(delta: &str) {
    with(|host| host.says(Event::Text(delta.to_owned())));
}

pub(crate) fn cite(citation: &Citation) -> Result<()> {
    with(|host| {
        let hit = host
            .hits
            .get(&citation.handle)
            .ok_or(Error::UnknownHandle)?;
        if citation
            .quote
            .as_ref()
            .is_some_and(|quote| !hit.text.contains(quote))
        {
            return Err(Error::NotInPassage);
        }
        let (title, quote) = (hit.title.clone(), citation.quote.clone());
        host.says(Event::Citation(Cited {
            number: citation.number,
            title,
            quote,
        }));
        Ok(())
    })
}

pub(crate) fn status(text: &str) {
    let text = text[..text.floor_char_boundary(STATUS_BYTES)].to_owned();
    with(|host| host.says(Event::Status(text)));
}

pub(crate) fn tool_started(name: &str, arguments: &str) -> u32 {
    with(|host| {
        host.calls += 1;
        let (call, name, arguments) = (host.calls, name.to_owned(), arguments.to_owned());
        host.says(Event::ToolStarted {
            call,
            name,
            arguments,
        });
        call
    })
}

pub(crate) fn tool_finished(call: u32, answer: Result<&str, &str>) {
    let answer = answer.map(str::to_owned).map_err(str::to_owned);
    with(|host| host.says(Event::ToolFinished { call, answer }));
}

pub(crate) fn now() -> Instant {
    with(|host| host.clock)
}

pub(crate) fn sleep(duration: Duration) -> Instant {
    with(|host| {
        if let Some(past) = &mut host.past {
            host.clock = past.sleep(duration);
            return host.clock;
        }
        let milliseconds = u64::try_from(duration.min(SLEEP_MAX).as_millis()).unwrap_or(u64::MAX);
        let woken = host.clock.unix_milliseconds().saturating_add(milliseconds);
        host.clock = Instant::from_unix_milliseconds(woken);
        host.clock
    })
}

pub(crate) fn line(level: Level, text: &str) {
    with(|host| host.transcript.log.push((level, text.to_owned())));
}

pub(super) fn with<T>(call: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(|host| {
        let host = host.as_mut().expect(
            "no host answers here: off the wasm target, run the agent with `MockHost::new().run(…)`",
        );
        call(host)
    })
}
