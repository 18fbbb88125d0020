//! Events as people see them: the answer on stdout while it comes, what the agent does on stderr, sources after the
//! answer, one line of sums at the end. For programs every event is a line.

use serde_json::Value;

use super::follow::Event;
use crate::cli::knowledge::passage;
use crate::cli::terminal::view::{at, count, number, receipt};
use crate::cli::terminal::{Failure, Output, plain};

/// What was shown so far.
pub(super) struct Screen {
    out: Output,
    /// The answer stands in the middle of a line.
    open: bool,
    /// With the number of their event.
    citations: Vec<(i64, String)>,
    done: Option<Value>,
}

impl Screen {
    pub(super) fn new(out: Output) -> Self {
        Self {
            out,
            open: false,
            citations: Vec::new(),
            done: None,
        }
    }

    pub(super) fn show(&mut self, event: &Event) -> Result<(), Failure> {
        if event.kind == "done" {
            self.done = Some(event.data.clone());
        }
        if self.out.is_json() {
            return self.out.json(event);
        }
        let data = &event.data;
        match event.kind.as_str() {
            "started" => {
                let channel = at(data, "/channel");
                let channel = if channel.is_empty() {
                    channel
                } else {
                    format!(" ({channel})")
                };
                self.aside(&format!(
                    "{} v{}{channel}, {}",
                    at(data, "/agent"),
                    at(data, "/version"),
                    at(data, "/run")
                ));
            }
            "text" => {
                let text = at(data, "/text");
                self.out.piece(&text);
                if !text.is_empty() {
                    self.open = !text.ends_with('\n');
                }
            }
            "status" => self.aside(&at(data, "/text")),
            "tool_call" => self.aside(&format!(
                "→ {} {}",
                at(data, "/name"),
                at(data, "/arguments")
            )),
            "tool_result" => {
                let mark = if data["failed"] == true { "✗" } else { "←" };
                self.aside(&format!("{mark} {}", at(data, "/content")));
            }
            "citation" => {
                let line = format!("[{}] {}", at(data, "/number"), passage(data));
                self.citations.push((event.seq, line));
            }
            "retract" => {
                let from = number(data, "/from");
                self.citations.retain(|(seq, _)| *seq < from);
                self.aside("↺ its host died in the middle of this: the last generation is void and is made again");
            }
            _ => {}
        }
        Ok(())
    }

    /// The run is over: sources, then how it ended.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        let Some(done) = self.done.take() else {
            return Err(Failure::new(
                "no_end",
                "the host sent no last event; see `bulkhead runs show`",
            ));
        };
        let (state, reason) = (at(&done, "/state"), at(&done, "/stop_reason"));
        let fault = at(&done, "/fault/message");
        let why = if fault.is_empty() {
            reason.clone()
        } else {
            format!("{reason}: {fault}")
        };
        if self.out.is_json() {
            return if state == "completed" {
                Ok(())
            } else {
                Err(Failure::new(&reason, format!("the run {state}: {why}")))
            };
        }
        self.close_line();
        if !self.citations.is_empty() {
            self.out.line("");
            self.citations
                .iter()
                .for_each(|(_, citation)| self.out.line(citation));
        }
        let usage = &done["usage"];
        let tokens = format!(
            "{}+{} tokens",
            number(usage, "/input_tokens"),
            number(usage, "/output_tokens")
        );
        let fuel = format!("{} fuel", count(number(usage, "/fuel")));
        let sums = format!("{tokens} · {fuel} · {} ms", number(usage, "/wall_ms"));
        if state == "completed" {
            self.out.note(plain::line(&format!("{why} · {sums}")));
            return Ok(());
        }
        self.out
            .note(plain::line(&format!("{state} · {why} · {sums}")));
        Err(Failure::told())
    }

    /// After a cancel: the receipt of the last event, or of the answer to the cancel.
    pub(super) fn receipt(&mut self, answered: Option<&Value>) -> Result<(), Failure> {
        let ended = self
            .done
            .take()
            .or_else(|| answered.cloned())
            .unwrap_or_default();
        if self.out.is_json() {
            // The last event was a line already; without it the answer takes its place.
            return answered.map_or(Ok(()), |run| self.out.json(run));
        }
        self.close_line();
        self.out.note(format!(
            "{} ({})",
            at(&ended, "/state"),
            at(&ended, "/stop_reason")
        ));
        for (name, value) in receipt(&ended["receipt"])
            .iter()
            .filter(|(_, value)| !value.is_empty())
        {
            self.out.note(plain::line(&format!("{name}: {value}")));
        }
        Ok(())
    }

    fn aside(&mut self, text: &str) {
        self.close_line();
        self.out.note(plain::line(text));
    }

    fn close_line(&mut self) {
        if std::mem::take(&mut self.open) {
            self.out.line("");
        }
    }
}
