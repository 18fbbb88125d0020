//! Makes every `#[guardrail]` the implementation of its world's export: each call turns generated types into the SDK's
//! and back.

use crate::bindings::guardrail::bulkhead::agent::checks;
use crate::bindings::guardrail::{self, Guest};
use crate::guardrails::{Judge, Place, Subject, Verdict};

impl<T: Judge> Guest for T {
    fn check(subject: guardrail::Subject) -> guardrail::Verdict {
        let subject = Subject {
            place: match subject.place {
                checks::Place::Input => Place::Input,
                checks::Place::Output => Place::Output,
                checks::Place::Tool => Place::Tool,
            },
            agent: subject.agent,
            tool: subject.tool,
            text: subject.text,
        };
        match T::check(subject) {
            Verdict::Allow => guardrail::Verdict::Allow,
            Verdict::Rewrite(text) => guardrail::Verdict::Rewrite(text),
            Verdict::Block(why) => guardrail::Verdict::Block(why),
        }
    }
}
