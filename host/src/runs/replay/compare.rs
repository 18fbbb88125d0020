//! The replay beside the record: every event, the end, and what was used. The same version must be the same to the
//! unit; of another one a text may come in other pieces, and is compared whole.

mod lines;

use serde_json::{Value, json};

pub use self::lines::diff;
use super::perform::{End, Performed};
use super::report::{Asked, Difference, Report, Side, TEXT_MAX, There, cut};
use super::{Beyond, Found};
use crate::runs::Usage;
use crate::runs::log::Stored;

/// Aspects of what is said, and the kinds of their events.
const ASPECTS: [(&str, &[&str]); 3] = [
    ("tool_calls", &["tool_call", "tool_result"]),
    ("citations", &["citation"]),
    ("status", &["status"]),
];

pub(super) fn report(found: &Found, performed: Performed) -> Report {
    let same_version = performed.version == found.view.version;
    let mut recorded = recorded(found);
    let replayed = replayed(&performed, &recorded);
    let Performed {
        version,
        end,
        said,
        saw,
        ..
    } = performed;
    let mut beyond = saw.beyond;
    let stopped_here = same_version && matches!(end, End::Stopped);
    let mut expected = &found.said[..];
    // A life that was stopped before it came as far as an earlier one: its count ends before its log.
    let behind = stopped_here
        && found.lives > 1
        && said.len() < expected.len()
        && facts(&said) == facts(&expected[..said.len()]);
    if behind {
        expected = &expected[..said.len()];
        recorded.steps = replayed.steps;
        beyond.get_or_insert_with(|| Beyond {
            step: None,
            kind: None,
            why: "An earlier life of the run went further than is counted.".to_owned(),
            there: There::Another,
        });
    }
    let mut differences: Vec<Difference> = saw.differ.into_iter().map(request).collect();
    if let Some(beyond) = beyond
        .as_ref()
        .filter(|beyond| beyond.is_recorded() && !behind)
    {
        differences.push(plain("journal", Value::Null, json!(beyond.why)));
    }
    events(expected, &said, same_version, &mut differences);
    ends(&recorded, &replayed, &mut differences);
    let counts = Counts {
        same_version,
        // What an earlier life used beside fuel and tokens died with its host.
        several_lives: stopped_here && found.lives > 1,
    };
    counts.compare(&recorded.usage, &replayed.usage, &mut differences);
    if recorded.steps != replayed.steps {
        differences.push(plain("steps", json!(recorded.steps), json!(replayed.steps)));
    }
    Report {
        run: found.view.id,
        version,
        same: differences.is_empty(),
        recorded,
        replayed,
        differences,
        beyond,
    }
}

fn recorded(found: &Found) -> Side {
    let message = found.view.fault.as_ref().map(|fault| &fault["message"]);
    Side {
        version: found.view.version,
        state: Some(found.view.state.clone()),
        stop_reason: found.view.stop_reason.clone(),
        fault: message.and_then(Value::as_str).map(str::to_owned),
        output: text(&found.said),
        steps: i32::try_from(found.past.steps.len()).unwrap_or(i32::MAX),
        usage: found.view.usage.unwrap_or_default(),
    }
}

fn replayed(performed: &Performed, recorded: &Side) -> Side {
    let (state, stop_reason, fault) = match &performed.end {
        End::Of(verdict) => (
            Some(verdict.state.to_owned()),
            Some(verdict.stop_reason.to_owned()),
            verdict.fault.as_ref().map(|(_, message)| message.clone()),
        ),
        End::Stopped => (
            recorded.state.clone(),
            recorded.stop_reason.clone(),
            recorded.fault.clone(),
        ),
        End::Open => (None, None, None),
    };
    Side {
        version: performed.version,
        state,
        stop_reason,
        fault,
        output: text(&performed.said),
        steps: performed.saw.steps,
        usage: performed.usage,
    }
}

fn text(said: &[Stored]) -> String {
    said.iter().filter_map(Stored::text).collect()
}

fn facts(said: &[Stored]) -> Vec<(&str, &str)> {
    said.iter()
        .map(|event| (&*event.kind, &*event.data))
        .collect()
}

/// The events of some kinds, as they are shown.
fn of(said: &[Stored], kinds: &[&str]) -> Vec<Value> {
    said.iter()
        .filter(|event| kinds.contains(&&*event.kind))
        .map(|event| serde_json::from_str(&event.data).unwrap_or(Value::Null))
        .collect()
}

fn events(
    recorded: &[Stored],
    replayed: &[Stored],
    same_version: bool,
    differences: &mut Vec<Difference>,
) {
    if facts(recorded) == facts(replayed) {
        return;
    }
    let before = differences.len();
    let (old, new) = (text(recorded), text(replayed));
    if old != new {
        differences.push(Difference {
            diff: Some(diff(&old, &new)),
            ..plain("text", short(&old), short(&new))
        });
    }
    for (what, kinds) in ASPECTS {
        let (old, new) = (of(recorded, kinds), of(replayed, kinds));
        if old != new {
            let diff = diff(&each(&old), &each(&new));
            differences.push(Difference {
                diff: Some(diff),
                ..plain(what, json!(old.len()), json!(new.len()))
            });
        }
    }
    if differences.len() > before {
        return;
    }
    let (old, new) = (
        merged(recorded, same_version),
        merged(replayed, same_version),
    );
    if old != new {
        let diff = diff(&old.join("\n"), &new.join("\n"));
        differences.push(Difference {
            diff: Some(diff),
            ..plain("order", json!(old.len()), json!(new.len()))
        });
    }
}

/// One line for each event; of another version, one for texts that follow each other.
fn merged(said: &[Stored], apart: bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut in_text = false;
    for event in said {
        let text = event.text().filter(|_| !apart);
        match (text, lines.last_mut().filter(|_| in_text)) {
            (Some(text), Some(line)) => line.push_str(&text),
            (Some(text), None) => lines.push(format!("text {text}")),
            (None, _) => lines.push(format!("{} {}", event.kind, event.data)),
        }
        in_text = event.text().is_some() && !apart;
    }
    lines
}

fn each(values: &[Value]) -> String {
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    lines.join("\n")
}

fn ends(recorded: &Side, replayed: &Side, differences: &mut Vec<Difference>) {
    for (what, old, new) in [
        ("state", &recorded.state, &replayed.state),
        ("stop_reason", &recorded.stop_reason, &replayed.stop_reason),
        ("fault", &recorded.fault, &replayed.fault),
    ] {
        if old != new {
            differences.push(plain(what, json!(old), json!(new)));
        }
    }
}

struct Counts {
    same_version: bool,
    several_lives: bool,
}

impl Counts {
    fn compare(&self, old: &Usage, new: &Usage, differences: &mut Vec<Difference>) {
        // What was received of a generation and not taken is billed and not journaled.
        let estimates = self.same_version && (old.estimated || new.estimated);
        for (what, old, new, known) in [
            ("fuel", old.fuel, new.fuel, true),
            (
                "input_tokens",
                old.input_tokens,
                new.input_tokens,
                !estimates,
            ),
            (
                "output_tokens",
                old.output_tokens,
                new.output_tokens,
                !estimates,
            ),
            (
                "host_calls",
                old.host_calls,
                new.host_calls,
                !self.several_lives,
            ),
        ] {
            if known && old != new {
                differences.push(plain(what, json!(old), json!(new)));
            }
        }
    }
}

fn request(asked: Asked) -> Difference {
    let (old, new) = (pretty(&asked.recorded), pretty(&asked.replayed));
    Difference {
        what: "request",
        step: Some(asked.step),
        kind: Some(asked.kind),
        diff: Some(diff(&old, &new)),
        recorded: Value::String(asked.recorded),
        replayed: Value::String(asked.replayed),
    }
}

/// A value of JSON on lines of its own, so that it can be compared by lines.
fn pretty(text: &str) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    value
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        .unwrap_or_else(|| text.to_owned())
}

fn short(text: &str) -> Value {
    Value::String(cut(text, TEXT_MAX))
}

fn plain(what: &'static str, recorded: Value, replayed: Value) -> Difference {
    Difference {
        what,
        step: None,
        kind: None,
        recorded,
        replayed,
        diff: None,
    }
}
