//! Guardrails of the wrong shape.
use bulkhead_sdk::guardrail;
use bulkhead_sdk::guardrails::{Subject, Verdict};

#[guardrail]
fn nothing_taken() -> Verdict {
    Verdict::Allow
}

#[guardrail]
fn too_much_taken(_: Subject, _: u32) -> Verdict {
    Verdict::Allow
}

#[guardrail]
fn nothing_answered(_: Subject) {}

#[guardrail(name = "x")]
fn named(_: Subject) -> Verdict {
    Verdict::Allow
}

#[guardrail]
fn something_else_taken(_: String) -> Verdict {
    Verdict::Allow
}

#[guardrail]
fn something_else_answered(_: Subject) -> bool {
    true
}

#[guardrail]
struct Thing;

fn main() {}
