//! What is kept of a guest's own words when it has ended: what it had shown in its conversation, its log and its errors,
//! bounded, and without what may not be stored.

use serde::Serialize;
use time::OffsetDateTime;

use super::execute::Work;
use crate::conversations::join::content;
use crate::conversations::{Answer, memory};
use crate::guardrails::{At, Guard};
use crate::kit::Result;
use crate::sandbox::wasi::{Log, Written};

/// Text of an author's or a provider's error that is kept.
const MESSAGE_MAX: usize = 4 << 10;

#[derive(Serialize)]
pub(super) struct GuestLog {
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<Written>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Written>,
}

pub(super) fn guest_log(log: &Log) -> Option<GuestLog> {
    let kept = GuestLog {
        stdout: log.stdout.written(),
        stderr: log.stderr.written(),
        log: log.lines.written(),
    };
    (kept.stdout.is_some() || kept.stderr.is_some() || kept.log.is_some()).then_some(kept)
}

/// The log as it may be kept.
pub(super) fn kept(log: &GuestLog, guard: &Guard) -> Result<String> {
    let mut log = serde_json::to_value(log)?;
    guard.clean_json(At::Log, &mut log);
    Ok(log.to_string())
}

/// What the run leaves in its conversation: what it had shown, whatever ended it.
pub(super) fn answer(
    work: &Work,
    (text, stop_reason): (&str, &str),
    at: OffsetDateTime,
) -> Result<Option<Answer>> {
    let answer = |conversation| {
        Ok(Answer {
            org: work.row.org,
            conversation,
            run: work.row.run.0,
            version: work.row.version,
            content: content(text)?,
            stop_reason: stop_reason.to_owned(),
            at,
            remembers: remembers(work),
            hides_pii: work.record.guard().rules().redacts_output(),
        })
    };
    work.row.conversation.map(answer).transpose()
}

/// Whether this life of the run, or an earlier one, may have written to the memory.
fn remembers(work: &Work) -> bool {
    let mut past = work.past.steps.values();
    work.record.live.remembers() || past.any(|step| memory::writes(&step.kind))
}

/// An error's text as it may be shown: bounded, without control characters.
pub(super) fn clean(text: &str) -> String {
    let mut kept: String = text
        .chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    let mut end = MESSAGE_MAX.min(kept.len());
    while !kept.is_char_boundary(end) {
        end -= 1;
    }
    kept.truncate(end);
    kept
}
