//! What still stands in a log: what was said, without what was withdrawn; and of a replay's, without its last call.

use super::Stored;
use super::record::{Record, TOOL_CALL};
use crate::kit::Result;

/// All text that stands in a log.
pub fn text_of(said: &[Stored]) -> String {
    standing(said).iter().filter_map(Stored::text).collect()
}

/// What is to be said again: the first event is the host's, and what was withdrawn is void.
pub fn standing(said: &[Stored]) -> Vec<Stored> {
    let mut standing: Vec<Stored> = Vec::new();
    for event in said.iter().skip(1) {
        match event.withdraws() {
            Some(from) => standing.retain(|earlier| earlier.seq < from),
            None => standing.push(event.clone()),
        }
    }
    standing
}

/// How many calls of tools are among these.
pub fn tool_calls<'a>(said: impl Iterator<Item = &'a Stored>) -> i64 {
    said.map(|event| i64::from(&*event.kind == TOOL_CALL)).sum()
}

impl Record {
    /// A replay was stopped in the call that said something last, before it was said: everything but that.
    pub fn without_last(&self) -> Result<Vec<Stored>> {
        let (mut said, rest) = {
            let mut state = self.lock();
            let said = state.held.clone();
            match state.before_last.take() {
                Some(mut before) => (said[..before.held].to_vec(), before.shown.rest()),
                None => (said, None),
            }
        };
        if let Some(rest) = rest {
            said.push(rest.store(said.last().map_or(2, |last| last.seq + 1), self.now())?);
        }
        Ok(said)
    }
}
