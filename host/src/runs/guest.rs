//! The interfaces that belong to the run itself: output, the agent's own tools, the clock and the log. Each call that
//! a client can see becomes an event of the run's log.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::HasData;

use super::log::event::Citation;
use super::log::{Event, Record};
use crate::guardrails::redact::Stream;
use crate::guardrails::{At, Judge};
use crate::kit::{Tasks, clock as time};
use crate::knowledge;
use crate::knowledge::guest::CiteError;
use crate::sandbox::bindings::bulkhead::agent::{clock, log, output, tools, types};
use crate::sandbox::bindings::provider::bulkhead::agent::provided;
use crate::sandbox::{Away, Host, Intended, Journal, Repeat, journal};

const STATUS_MAX: usize = 256;
const LINE_MAX: usize = 8 << 10;
const SLEEP_MAX: Duration = Duration::from_secs(24 * 3600);
const NAME_MAX: usize = 64;

/// What these interfaces keep of a run.
#[derive(Debug)]
pub struct Context {
    record: Arc<Record>,
    tasks: Tasks,
    /// Tool calls that were started, by number; true where one is still open.
    calls: Vec<bool>,
    judge: Judge,
    /// What guardrail components are asked is kept as a step: what of it may not be kept is taken out before.
    clean: Stream,
    /// Text that no guardrail component has seen yet.
    unjudged: String,
    suspend_after: Duration,
}

impl Context {
    pub fn new(
        record: Arc<Record>,
        (tasks, judge): (Tasks, Judge),
        suspend_after: Duration,
    ) -> Self {
        Self {
            record,
            tasks,
            calls: Vec::new(),
            clean: judge.guard.stream(At::Output),
            judge,
            unjudged: String::new(),
            suspend_after,
        }
    }

    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    fn unjudged(&mut self, text: &str) {
        let found = self.clean.take_counts();
        self.judge.guard.redacted(At::Output, &found);
        self.unjudged.push_str(text);
    }
}

/// The guest's run, for one call.
pub struct View<'a> {
    pub context: &'a mut Context,
    pub knowledge: &'a knowledge::guest::Context,
    pub host: &'a mut Host,
    pub journal: &'a mut dyn Journal,
}

pub struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

impl View<'_> {
    /// Says what guardrail components let pass of the text so far, a piece of it where it is long.
    pub async fn say_judged(&mut self) -> wasmtime::Result<()> {
        let judge = self.context.judge.clone();
        let end = self
            .context
            .unjudged
            .floor_char_boundary(judge.piece_bytes());
        if end == 0 {
            return Ok(());
        }
        let rest = self.context.unjudged.split_off(end);
        let piece = std::mem::replace(&mut self.context.unjudged, rest);
        let _at = self.host.at("guardrail");
        let text = judge
            .judge(&mut *self.journal, (At::Output, None), piece)
            .await?;
        let text = storable(text);
        if text.is_empty() {
            return Ok(());
        }
        self.say(Event::Text { text }).await
    }

    pub fn judge(&self) -> &Judge {
        &self.context.judge
    }

    /// The whole rest.
    pub async fn say_rest(&mut self) -> wasmtime::Result<()> {
        let rest = self.context.clean.rest();
        self.context.unjudged(&rest);
        while !self.context.unjudged.is_empty() {
            self.say_judged().await?;
        }
        Ok(())
    }

    async fn say(&mut self, event: Event) -> wasmtime::Result<()> {
        self.context
            .record
            .say(event)
            .await
            .map_err(wasmtime::Error::new)
    }
}

impl types::Host for View<'_> {}

impl provided::Host for View<'_> {}

impl output::Host for View<'_> {
    async fn text(&mut self, delta: String) -> wasmtime::Result<()> {
        self.host.crossing(delta.len())?;
        self.host.output(delta.len())?;
        if delta.is_empty() {
            return Ok(());
        }
        if !self.context.judge.is_needed() {
            let text = storable(delta);
            return self.say(Event::Text { text }).await;
        }
        let clean = self.context.clean.text(&storable(delta));
        self.context.unjudged(&clean);
        while self.context.unjudged.len() >= self.context.judge.piece_bytes() {
            self.say_judged().await?;
        }
        Ok(())
    }

    async fn cite(
        &mut self,
        citation: output::Citation,
    ) -> wasmtime::Result<Result<(), output::Error>> {
        let bytes = citation.handle.len() + citation.quote.as_ref().map_or(0, String::len);
        self.host.crossing(bytes)?;
        let cited = match self
            .knowledge
            .cite(&citation.handle, citation.quote.as_deref())
        {
            Ok(cited) => cited,
            Err(CiteError::UnknownHandle) => return Ok(Err(output::Error::UnknownHandle)),
            Err(CiteError::NotInPassage) => return Ok(Err(output::Error::NotInPassage)),
        };
        self.host.output(cited.quote.len())?;
        let event = Citation {
            number: citation.number,
            entry: cited.entry,
            chunk: cited.chunk,
            title: cited.title,
            heading: cited.heading,
            source: cited.source,
            start_byte: cited.start_byte,
            end_byte: cited.end_byte,
            quote: cited.quote,
        };
        self.say(Event::Citation(Box::new(event))).await?;
        Ok(Ok(()))
    }

    async fn status(&mut self, text: String) -> wasmtime::Result<()> {
        self.host.crossing(text.len())?;
        let text = cut(one_line(&text), STATUS_MAX);
        self.host.output(text.len())?;
        self.say(Event::Status { text }).await
    }
}

impl tools::Host for View<'_> {
    async fn started(&mut self, name: String, arguments: String) -> wasmtime::Result<u32> {
        self.host.crossing(name.len() + arguments.len())?;
        self.host.output(name.len() + arguments.len())?;
        let guard = self.context.record.guard();
        guard.starts(&name).map_err(wasmtime::Error::new)?;
        self.context.calls.push(true);
        let call = u32::try_from(self.context.calls.len()).unwrap_or(u32::MAX);
        // Arguments are the model's words: where they are not JSON, they are shown as the text they are.
        let arguments =
            serde_json::from_str(&arguments).unwrap_or(serde_json::Value::String(arguments));
        let name = cut(one_line(&name), NAME_MAX);
        self.say(Event::ToolCall {
            call,
            name,
            arguments,
        })
        .await?;
        Ok(call)
    }

    async fn finished(
        &mut self,
        call: u32,
        answer: Result<String, String>,
    ) -> wasmtime::Result<()> {
        let (failed, content) = match answer {
            Ok(content) => (false, content),
            Err(content) => (true, content),
        };
        self.host.crossing(content.len())?;
        let open = usize::try_from(call)
            .ok()
            .and_then(|n| self.context.calls.get_mut(n.checked_sub(1)?));
        match open {
            Some(open) if *open => *open = false,
            _ => {
                let line = format!("warn tools.finished: there is no open call {call}\n");
                self.host.log().lines.write(line.as_bytes());
                return Ok(());
            }
        }
        self.host.output(content.len())?;
        self.say(Event::ToolResult {
            call,
            failed,
            content: storable(content),
        })
        .await
    }
}

impl clock::Host for View<'_> {
    async fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.host.meter().now_ns() / 1_000_000)
    }

    async fn sleep(&mut self, milliseconds: u64) -> wasmtime::Result<u64> {
        let wait = Duration::from_millis(milliseconds).min(SLEEP_MAX);
        let _at = self.host.at("sleep");
        let request = serde_json::json!({ "milliseconds": milliseconds });
        // With a generation under way it stays: its connection lives here.
        if wait >= self.context.suspend_after && self.journal.pending() == 0 {
            return self.sleep_away(request, wait).await;
        }
        let (tasks, record) = (self.context.tasks.clone(), Arc::clone(&self.context.record));
        let timer = async move {
            timer(&tasks, wait).await;
            Ok::<u64, String>(time::epoch_ms(record.now()))
        };
        let answer = journal::answer(self.journal, SLEEP, &request, timer).await?;
        answer.map_err(wasmtime::Error::msg)
    }
}

const SLEEP: &str = "clock.sleep";

impl View<'_> {
    /// A long sleep: its beginning is written, then the guest leaves memory. The life that finds it over goes on.
    async fn sleep_away(
        &mut self,
        request: serde_json::Value,
        wait: Duration,
    ) -> wasmtime::Result<u64> {
        let ticket = match self
            .journal
            .intend(SLEEP, request, Repeat::Continues)
            .await?
        {
            Intended::Recorded(answered) => {
                let woke: Woke =
                    serde_json::from_value(answered.response).map_err(journal::unreadable)?;
                self.journal.arrive(answered.ended_at);
                return Ok(woke.ok);
            }
            Intended::Granted(intent) => intent.into_ticket(),
            Intended::Indeterminate(ticket) => ticket,
        };
        let until = ticket.started_at + wait;
        let left: Duration = (until - self.context.record.now())
            .try_into()
            .unwrap_or(Duration::ZERO);
        if left >= self.context.suspend_after {
            return Err(Away { until }.into());
        }
        timer(&self.context.tasks, left).await;
        let woke = Woke {
            ok: time::epoch_ms(self.context.record.now()),
        };
        let response = serde_json::to_value(&woke)?;
        self.journal.end(ticket, response, true).await?;
        Ok(woke.ok)
    }
}

/// How a sleep is recorded.
#[derive(serde::Serialize, serde::Deserialize)]
struct Woke {
    ok: u64,
}

/// The timer runs on the control runtime; a guest thread only waits for its word.
async fn timer(tasks: &Tasks, wait: Duration) {
    let slept = tasks.spawn(async move { tokio::time::sleep(wait).await });
    AbortOnDrop(slept).join().await;
}

impl log::Host for View<'_> {
    async fn line(&mut self, level: log::Level, text: String) -> wasmtime::Result<()> {
        self.host.crossing(text.len())?;
        let level = match level {
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        let line = format!("{level} {}\n", cut(one_line(&text), LINE_MAX));
        self.host.log().lines.write(line.as_bytes());
        Ok(())
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    async fn join(mut self) {
        // It is aborted only by being dropped, and then nobody is here.
        let _ = (&mut self.0).await;
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// PostgreSQL's text cannot hold NUL; everything else is kept as it was said.
fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

/// Control characters could forge lines of a log or a terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn cut(mut text: String, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
