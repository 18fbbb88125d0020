//! A run of a real host, saved by `bulkhead runs export`, as a test: the agent runs natively, is answered as the run
//! was, and what it asks or says differently is told line by line.

pub(super) mod past;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use self::past::Past;
use super::host::{self, Host};
use super::transcript::{Event, Transcript};
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::turn::{Message, Outcome, Speaker, Turn};

/// The one form of the file there is; a reader refuses what it does not know.
const FORMAT: u64 = 1;
const FILE_BYTES_MAX: usize = 4 << 20;

/// A recorded run: `bulkhead runs export AGENT RUN --to tests/fixtures/hours.json` writes the file.
///
/// ```
/// use bulkhead_sdk::mock::Recording;
/// use bulkhead_sdk::{Agent, Outcome, Result, Turn, agent};
///
/// # let file = r#"{"bulkhead_recording": 1, "agent": "poet", "version": 1, "run": "run_1", "started_at_ms": 0,
/// #   "messages": [{"role": "user", "text": "a word?"}], "stop_reason": "end_turn", "rewritten": false,
/// #   "said": [{"kind": "text", "data": {"text": "Moon."}}],
/// #   "steps": [{"kind": "model.generate", "ended_at_ms": 5, "response": {"ok": {"chunks": [{"Text": "Moon."},
/// #       {"Finish": {"reason": "Stop", "usage": {"input_tokens": 9, "output_tokens": 2, "estimated": false}}}],
/// #       "error": null}}, "request": {"alias": "default", "request": {"model": null, "max_tokens": null, "tools": [],
/// #       "messages": [{"role": "System", "parts": [{"Text": "One word."}]},
/// #                    {"role": "User", "parts": [{"Text": "a word?"}]}]}}}]}"#;
/// # let fixture = std::env::temp_dir().join(format!("poet-{}.json", std::process::id()));
/// # std::fs::write(&fixture, file).unwrap();
/// #[agent]
/// fn poet(turn: Turn) -> Result<Outcome> {
///     Agent::new("One word.").run(&turn)
/// }
///
/// let transcript = Recording::read(&fixture).replay(poet);
/// assert_eq!(transcript.text(), "Moon.");
///
/// // An agent that asks something else is told so, and what.
/// let wordy = |turn: Turn| Agent::new("Ten words.").run(&turn);
/// let (_, differences) = Recording::read(&fixture).compare(wordy);
/// assert_eq!(differences[0].diff, "- system: One word.\n+ system: Ten words.\n  user: a word?\n");
/// # std::fs::remove_file(fixture).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Recording {
    from: String,
    file: File,
}

/// One thing that is not as it was recorded.
///
/// ```
/// use bulkhead_sdk::mock::Difference;
///
/// let difference = Difference { what: "the answer".to_owned(), diff: "- Sun.\n+ Moon.\n".to_owned() };
/// assert_eq!(difference.to_string(), "the answer\n- Sun.\n+ Moon.\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What differs: a call of the agent, the answer, its tools, its sources or its end.
    pub what: String,
    /// Line by line: `- ` was recorded, `+ ` is now.
    pub diff: String,
}

#[derive(Clone, Debug, Deserialize)]
struct File {
    started_at_ms: u64,
    messages: Vec<Asked>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    steps: Vec<Step>,
    said: Vec<Said>,
    /// Guardrails changed what was shown, so that it is not what the agent said.
    rewritten: bool,
    stop_reason: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Asked {
    role: Role,
    text: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Clone, Debug, Deserialize)]
struct Step {
    kind: String,
    request: Value,
    response: Value,
    ended_at_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Said {
    kind: String,
    data: Value,
}

impl Step {
    fn ended_at(&self) -> Instant {
        Instant::from_unix_milliseconds(self.ended_at_ms)
    }
}

impl Recording {
    /// Reads a recording; a relative path begins at the package's folder, where cargo runs tests.
    ///
    /// # Panics
    /// Where the file cannot be read or is none, with what to do.
    #[must_use]
    pub fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let from = path.display().to_string();
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
            panic!(
                "cannot read {from}: {error}; `bulkhead runs export AGENT RUN --to {from}` makes it"
            )
        });
        let parsed = Self::parse(&text).unwrap_or_else(|why| panic!("{from} {why}"));
        Self { from, ..parsed }
    }

    /// Reads a recording from its text.
    ///
    /// # Errors
    /// What is wrong with it.
    ///
    /// ```
    /// use bulkhead_sdk::mock::Recording;
    ///
    /// let newer = Recording::parse(r#"{"bulkhead_recording": 2}"#).unwrap_err();
    /// assert!(newer.starts_with("is a recording of the form 2"), "{newer}");
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > FILE_BYTES_MAX {
            return Err(format!(
                "has {} bytes, and a recording at most {FILE_BYTES_MAX}",
                text.len()
            ));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
        match value["bulkhead_recording"].as_u64() {
            Some(form) if form == FORMAT => {}
            Some(form) => {
                return Err(format!(
                    "is a recording of the form {form}, and this SDK reads {FORMAT}: record it again with the \
                     bulkhead of this SDK"
                ));
            }
            None => return Err("is no recording: `bulkhead runs export` makes one".to_owned()),
        }
        let file = File::deserialize(&value).map_err(|error| format!("cannot be read: {error}"))?;
        if ended(&file.stop_reason).is_none() {
            return Err(format!(
                "is of a run that ended as `{}`, not by its agent: record one that the agent ended",
                file.stop_reason
            ));
        }
        let from = "the recording".to_owned();
        Ok(Self { from, file })
    }

    /// What the run was asked.
    #[must_use]
    pub fn question(&self) -> &str {
        self.file.messages.last().map_or("", |asked| &asked.text)
    }

    /// What the run said.
    #[must_use]
    pub fn text(&self) -> String {
        let texts = self.file.said.iter().filter(|said| said.kind == "text");
        texts
            .filter_map(|said| said.data["text"].as_str())
            .collect()
    }

    /// Runs the agent on what the run was asked, answered as the run was.
    ///
    /// # Panics
    /// Where it asks, says or ends otherwise, with what differs.
    pub fn replay<E: Into<Error>>(
        &self,
        agent: impl FnOnce(Turn) -> Result<Outcome, E>,
    ) -> Transcript {
        let (transcript, differences) = self.compare(agent);
        assert!(differences.is_empty(), "{}", told(&self.from, &differences));
        transcript
    }

    /// The same, for a test that expects differences.
    ///
    /// # Panics
    /// Where the agent asks for more than is recorded, or for another kind of thing.
    pub fn compare<E: Into<Error>>(
        &self,
        agent: impl FnOnce(Turn) -> Result<Outcome, E>,
    ) -> (Transcript, Vec<Difference>) {
        let started_at = Instant::from_unix_milliseconds(self.file.started_at_ms);
        let messages = self.file.messages.iter().map(|asked| Message {
            speaker: match asked.role {
                Role::User => Speaker::User,
                Role::Assistant => Speaker::Assistant,
            },
            text: asked.text.clone(),
        });
        let turn = Turn::new(format!("run_{:032x}", 1), messages.collect(), started_at);
        let past = Past::of(&self.from, &self.file.steps);
        let host = Host::recorded(past, started_at, self.file.settings.clone());
        let (transcript, past) = host::serve(host, || agent(turn).map_err(Into::into));
        let past = past.expect("the host was made with it");
        let mut differences = past.differences.clone();
        let rest = past.rest();
        if !rest.is_empty() {
            differences.push(difference("calls that were not made", &rest.join("\n"), ""));
        }
        self.said_otherwise(&transcript, &mut differences);
        (transcript, differences)
    }

    fn said_otherwise(&self, transcript: &Transcript, differences: &mut Vec<Difference>) {
        let recorded = |kinds: &[&str]| {
            let of = self.file.said.iter();
            let of = of.filter(|said| kinds.contains(&said.kind.as_str()));
            of.map(recorded_line).collect::<Vec<_>>().join("\n")
        };
        let mut compare = |what: &str, old: &str, new: &str| {
            if old != new {
                differences.push(difference(what, old, new));
            }
        };
        if !self.file.rewritten {
            compare("the answer", &self.text(), &transcript.text());
            let now = |of: fn(&Event) -> bool| {
                let of = transcript.events.iter().filter(|event| of(event));
                of.map(line).collect::<Vec<_>>().join("\n")
            };
            let is_tool = |event: &Event| {
                matches!(
                    event,
                    Event::ToolStarted { .. } | Event::ToolFinished { .. }
                )
            };
            compare(
                "its tools",
                &recorded(&["tool_call", "tool_result"]),
                &now(is_tool),
            );
            let is_source = |event: &Event| matches!(event, Event::Citation(_));
            compare("its sources", &recorded(&["citation"]), &now(is_source));
        }
        let now = match transcript.outcome {
            Ok(Outcome::EndTurn) => "end_turn",
            Ok(Outcome::MaxTokens) => "max_tokens",
            Ok(Outcome::MaxIterations) => "max_iterations",
            Err(ref error) if error.is_from_model() => "model_error",
            Err(_) => "guest_error",
        };
        compare("its end", &self.file.stop_reason, now);
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        f.write_str(&self.diff)
    }
}

/// The reasons that are the agent's own.
fn ended(stop_reason: &str) -> Option<()> {
    let own = [
        "end_turn",
        "max_tokens",
        "max_iterations",
        "model_error",
        "guest_error",
    ];
    own.contains(&stop_reason).then_some(())
}

fn difference(what: &str, recorded: &str, now: &str) -> Difference {
    Difference {
        what: what.to_owned(),
        diff: words::diff(recorded, now),
    }
}

/// All that differs, for whoever reads the failed test.
fn told(from: &str, differences: &[Difference]) -> String {
    let each: Vec<String> = differences.iter().map(Difference::to_string).collect();
    format!(
        "the agent does not do what {from} recorded (- recorded, + now):\n\n{}\nif that is meant, record it again with \
         `bulkhead runs export`",
        each.join("\n")
    )
}

/// An event of the run.
fn recorded_line(said: &Said) -> String {
    let data = &said.data;
    let word = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
    match said.kind.as_str() {
        "tool_call" => format!("{} {} {}", data["call"], word("name"), data["arguments"]),
        "tool_result" if data["failed"] == true => {
            format!("{} failed {}", data["call"], word("content"))
        }
        "tool_result" => format!("{} answered {}", data["call"], word("content")),
        _ => format!("[{}] {}", data["number"], word("title")),
    }
}

/// The same of an event that is now.
fn line(event: &Event) -> String {
    match event {
        Event::ToolStarted {
            call,
            name,
            arguments,
        } => {
            // Shown as the host shows them.
            let arguments = serde_json::from_str(arguments)
                .unwrap_or_else(|_| Value::String(arguments.clone()));
            format!("{call} {name} {arguments}")
        }
        Event::ToolFinished {
            call,
            answer: Ok(content),
        } => format!("{call} answered {content}"),
        Event::ToolFinished {
            call,
            answer: Err(content),
        } => format!("{call} failed {content}"),
        Event::Citation(cited) => format!("[{}] {}", cited.number, cited.title),
        Event::Text(text) | Event::Status(text) => text.clone(),
    }
}
