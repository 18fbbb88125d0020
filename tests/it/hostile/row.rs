//! One row of the corpus: a guest, what it is asked, how it must end. The rows stand in `rows`, the driver in `crowd`.

use bulkhead_tests::client::Event;
use bulkhead_tests::raw::judge::Judge;
use bulkhead_tests::raw::{Raw, assemble};
use serde_json::{Value, json};

/// A guest and its end.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
    /// The guardrail component that judges it, if it is that which is hostile.
    pub(super) judge: Option<Vec<u8>>,
    input: String,
    deadline_ms: Option<u64>,
    pub(super) ending: Ending,
    /// How many run at once where the row has a crowd of its own.
    pub(super) crowd: usize,
}

/// How a guest must end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// The run ends for this reason; blame and a part of the message where there is a fault.
    Ends(&'static str, &'static str, &'static str),
    /// Its guardrail component gives no verdict, for one of these reasons; blocks it, where they are one that is empty.
    Blocked(&'static [&'static str]),
    /// The upload is refused: the problem's code, and a part of its detail.
    Refused(&'static str, &'static str),
}

pub(super) const END_TURN: Ending = Ending::Ends("end_turn", "", "");
pub(super) const FUEL: Ending = Ending::Ends("fuel", "limit", "the fuel limit was used up");
pub(super) const MEMORY: Ending = Ending::Ends("memory", "limit", "the memory limit was reached");
pub(super) const CALLS: Ending = Ending::Ends("host_calls", "limit", "limit of host calls");
pub(super) const CROSSING: Ending = Ending::Ends("crossing", "limit", "carried more bytes");
pub(super) const HANDLES: Ending = Ending::Ends("handles", "limit", "limit of open resources");
pub(super) const OUTPUT: Ending = Ending::Ends("output", "limit", "the output limit was reached");
pub(super) const DEADLINE: Ending = Ending::Ends("deadline", "limit", "the run's time was up");

/// How a run ends that its guardrail component did not let pass.
const BLOCKED: &str = "blocked:component";

/// A trap that says this.
pub(super) const fn trap(message: &'static str) -> Ending {
    Ending::Ends("trap", "guest", message)
}

impl Row {
    pub(super) fn new(name: &'static str, bytes: Vec<u8>, ending: Ending) -> Self {
        Self {
            name,
            bytes,
            judge: None,
            input: "x".to_owned(),
            deadline_ms: None,
            ending,
            crowd: 50,
        }
    }

    pub(super) fn raw(name: &'static str, raw: Raw<'_>, ending: Ending) -> Self {
        Self::new(name, raw.bytes(), ending)
    }

    /// An agent that behaves, under the judgement of this.
    pub(super) fn judged(name: &'static str, judge: Judge<'_>, ending: Ending) -> Self {
        Self::judged_by(name, judge.bytes(), ending)
    }

    pub(super) fn judged_by(name: &'static str, judge: Vec<u8>, ending: Ending) -> Self {
        let rule = format!("component={}", Self::judge_of(name));
        let agent = Raw {
            guardrails: &[&rule],
            ..Raw::default()
        };
        Self {
            judge: Some(judge),
            ..Self::raw(name, agent, ending)
        }
    }

    /// What the guardrail component of a row is called.
    pub(super) fn judge_of(name: &str) -> String {
        format!("{name}-it")
    }

    /// A guest without imports that does this.
    pub(super) fn does(name: &'static str, run: &str, ending: Ending) -> Self {
        Self::raw(
            name,
            Raw {
                run,
                ..Raw::default()
            },
            ending,
        )
    }

    /// A guest whose text is changed in one place before it is assembled.
    pub(super) fn altered(
        name: &'static str,
        raw: Raw<'_>,
        (from, to): (&str, &str),
        ending: Ending,
    ) -> Self {
        let text = raw.text();
        assert!(text.contains(from), "{name}: nothing to alter");
        Self::new(name, assemble(&text.replace(from, to)), ending)
    }

    pub(super) fn altered_twice(
        name: &'static str,
        raw: Raw<'_>,
        changes: [(&str, &str); 2],
        ending: Ending,
    ) -> Self {
        let text = changes.iter().fold(raw.text(), |text, (from, to)| {
            assert!(text.contains(from), "{name}: nothing to alter");
            text.replace(from, to)
        });
        Self::new(name, assemble(&text), ending)
    }

    #[must_use]
    pub(super) fn asked(mut self, input: &str) -> Self {
        input.clone_into(&mut self.input);
        self
    }

    /// Has all the fuel there is, and so much time.
    #[must_use]
    pub(super) fn within(mut self, deadline_ms: u64) -> Self {
        self.deadline_ms = Some(deadline_ms);
        self
    }

    /// Has a crowd of its own in the quick form too, of a hundred.
    #[must_use]
    pub(super) fn a_hundred(mut self) -> Self {
        self.crowd = 100;
        self
    }

    /// What a run of it is asked: to make do with this fuel, or else with its time.
    pub(super) fn body(&self, fuel: u64) -> Value {
        match self.deadline_ms {
            Some(deadline_ms) => json!({ "input": self.input, "deadline_ms": deadline_ms }),
            None => json!({ "input": self.input, "max_fuel": fuel }),
        }
    }

    /// The reason in the table.
    pub(super) fn reason(&self) -> &'static str {
        match self.ending {
            Ending::Ends(reason, ..) => reason,
            Ending::Blocked(..) => BLOCKED,
            Ending::Refused(code, _) => code,
        }
    }

    /// Whether a run that came to its end, as its view tells it, ended as it must.
    pub(super) fn check(&self, view: &Value) {
        let name = self.name;
        match self.ending {
            Ending::Ends(reason, blame, message) => {
                self.check_fault(view, (reason, blame, message));
            }
            Ending::Blocked(failed) => self.check_blocked(view, failed),
            Ending::Refused(..) => panic!("{name} was to be refused"),
        }
        let receipt = &view["receipt"];
        assert_eq!(receipt["fuel"], view["usage"]["fuel"], "{name}");
        let place = receipt["where"].as_str().expect("a receipt has a place");
        assert!(self.places().contains(&place), "{name}: {receipt}");
        for stream in ["stdout", "stderr", "log"] {
            let kept = view["guest_log"][stream]["text"].as_str();
            assert!(kept.is_none_or(|kept| kept.len() <= 64 << 10), "{name}");
        }
    }

    fn check_fault(&self, view: &Value, (reason, blame, message): (&str, &str, &str)) {
        let name = self.name;
        assert_eq!(view["stop_reason"], reason, "{name}: {view}");
        let state = if blame.is_empty() {
            "completed"
        } else {
            "failed"
        };
        assert_eq!(view["state"], state, "{name}: {view}");
        let fault = &view["fault"];
        if blame.is_empty() {
            assert!(fault.is_null(), "{name}: {fault}");
        } else {
            assert_eq!(fault["blame"], blame, "{name}: {fault}");
            let said = fault["message"].as_str().expect("faults have a message");
            assert!(said.contains(message), "{name}: the fault says {said}");
            assert!(said.len() < 2_000, "{name}: a message is short");
            let drives = |c: char| c.is_control() && c != '\n';
            assert!(!said.chars().any(drives), "{name}: {said:?}");
        }
    }

    /// It failed closed, and says in a word what the component did.
    fn check_blocked(&self, view: &Value, failed: &[&str]) {
        let name = self.name;
        assert_eq!(
            (&view["state"], &view["stop_reason"]),
            (&json!("blocked"), &json!(BLOCKED)),
            "{name}: {view}"
        );
        let by = &view["blocked"];
        assert_eq!(by["kind"], "component", "{name}: {by}");
        let said = by["detail"]["failed"].as_str().unwrap_or_default();
        assert!(failed.contains(&said), "{name}: {by}");
        let why = by["detail"]["reason"].as_str().unwrap_or_default();
        let drives = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{2066}' | '\u{200f}');
        assert!(!why.chars().any(drives), "{name}: {why:?}");
    }

    /// Where it may be when it ends; a deadline may pass before a busy host has come to it.
    fn places(&self) -> &'static [&'static str] {
        match self.ending {
            Ending::Ends("deadline", ..) => &["guest", "sleep", "queued", "compiling"],
            _ => &["finishing"],
        }
    }

    /// Whether the events of a run are whole, its own, and nothing but text.
    pub(super) fn check_events(&self, events: &[Event]) {
        let name = self.name;
        for (event, seq) in events.iter().zip(1..) {
            assert_eq!(event.id, seq, "{name}: events have no gap");
            assert!(
                !event.raw.bytes().any(|byte| byte < b' '),
                "{name}: one line each: {}",
                event.raw
            );
        }
        let ends = |event: &Event| event.kind == "done";
        assert_eq!(
            events.iter().filter(|event| ends(event)).count(),
            1,
            "{name}"
        );
        let last = events.last().expect("a run has events");
        assert!(ends(last), "{name}: the last event is {}", last.raw);
        assert_eq!(
            last.data["stop_reason"],
            self.reason(),
            "{name}: {}",
            last.raw
        );
    }
}
