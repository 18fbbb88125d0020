//! One case asked: a run over the API, followed to its end, and what was seen of it. The same on a host of the test's
//! own and on one that runs.

use serde_json::{Value, json};

use super::cases::Case;
use crate::cli::client::{Client, UNREACHABLE};
use crate::cli::run::Follow;
use crate::cli::terminal::Failure;
use crate::cli::terminal::view::{at, number};

/// What came of a case.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) run: String,
    pub(super) text: String,
    pub(super) tools: Vec<String>,
    pub(super) cites: Vec<String>,
    pub(super) stop_reason: String,
    pub(super) fault: String,
    /// What a guardrail component said.
    pub(super) verdict: Option<&'static str>,
    /// Scripted answers that no generation took.
    pub(super) unasked: usize,
    pub(super) used: Option<Used>,
}

/// What a run used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) fuel: i64,
    pub(super) memory_bytes: i64,
    pub(super) input_tokens: i64,
    pub(super) output_tokens: i64,
    pub(super) wall_ms: i64,
}

/// Asks an agent; the version named, or the one a channel gives.
pub(super) async fn ask(
    client: &Client,
    (agent, version): (&str, Option<i32>),
    case: &Case,
) -> Result<Seen, Failure> {
    let mut new = json!({ "input": case.ask });
    if let Some(version) = version {
        new["version"] = json!(version);
    }
    if let Some(max_fuel) = case.limits.max_fuel {
        new["max_fuel"] = json!(max_fuel);
    }
    if let Some(deadline_ms) = case.limits.deadline_ms {
        new["deadline_ms"] = json!(deadline_ms);
    }
    let mut follow = Follow::new(client, agent, &new);
    let mut seen = Seen::default();
    loop {
        match follow.next().await {
            Ok(Some(event)) => seen.take(&event.kind, &event.data),
            Ok(None) => return Ok(seen),
            Err(failure) if failure.code == UNREACHABLE => return Err(failure),
            // Refused at its entry: an end like any other, and one that can be expected.
            Err(failure) => {
                seen.stop_reason = failure.code;
                seen.fault = failure.detail;
                return Ok(seen);
            }
        }
    }
}

impl Seen {
    fn take(&mut self, kind: &str, data: &Value) {
        match kind {
            "started" => self.run = at(data, "/run"),
            "text" => self.text.push_str(&at(data, "/text")),
            "tool_call" => self.tools.push(at(data, "/name")),
            "citation" => self.cites.push(at(data, "/title")),
            "done" => {
                self.stop_reason = at(data, "/stop_reason");
                self.fault = at(data, "/fault/message");
                self.used = Some(Used {
                    fuel: number(data, "/usage/fuel"),
                    memory_bytes: number(data, "/usage/memory_peak_bytes"),
                    input_tokens: number(data, "/usage/input_tokens"),
                    output_tokens: number(data, "/usage/output_tokens"),
                    wall_ms: number(data, "/usage/wall_ms"),
                });
            }
            _ => {}
        }
    }
}
