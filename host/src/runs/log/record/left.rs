//! What a guest leaves that is dropped in the middle of a call: an answer it took a part of, and a step that waited for
//! room. Both are metered by then, so both go with the run's end.

use serde_json::Value;

use super::Record;
use crate::runs::log::Step;
use crate::sandbox::{Left, Ticket};

impl Left for Record {
    fn leave(&self, ticket: Ticket, response: Value, ok: bool) {
        let step = Step::new(&ticket, &response, ok, self.now());
        self.lock().left.push(step);
    }
}

/// A step that waits for room in the queue.
pub(super) struct Unsent<'a> {
    record: &'a Record,
    /// It is kept where it is not sent.
    kept: bool,
    step: Option<Box<Step>>,
}

impl<'a> Unsent<'a> {
    pub(super) fn new(record: &'a Record, step: Step, kept: bool) -> Self {
        Self {
            record,
            kept,
            step: Some(Box::new(step)),
        }
    }

    /// The step, to be sent without waiting.
    pub(super) fn step(mut self) -> Box<Step> {
        self.step.take().expect("it is taken once, here")
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(step) = self.step.take().filter(|_| self.kept) {
            self.record.lock().left.push(*step);
        }
    }
}
