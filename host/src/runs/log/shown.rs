//! What of a run's words a client may see: credentials never, personal data where the version lets it. Text is a stream up
//! to the next event or call of the guest, however it is cut; what is held back of it is a function of what was said.

use std::sync::Arc;

use super::Event;
use crate::guardrails::redact::Stream;
use crate::guardrails::{At, Guard};

/// The words of one life of a run, on their way to its log.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    guard: Arc<Guard>,
    text: Stream,
}

impl Shown {
    pub(super) fn new(guard: &Arc<Guard>) -> Self {
        Self {
            guard: Arc::clone(guard),
            text: guard.stream(At::Output),
        }
    }

    pub(super) fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// The event as it may be seen; none where all of its text is held back.
    pub(super) fn event(&mut self, mut event: Event) -> Option<Event> {
        let clean = |text: &mut String| self.guard.clean(At::Output, text);
        match &mut event {
            Event::Text { text } => {
                *text = self.text.text(text);
                if text.is_empty() {
                    return None;
                }
                self.guard.said(text);
            }
            Event::Status { text } => clean(text),
            Event::ToolCall { arguments, .. } => self.guard.clean_json(At::Output, arguments),
            Event::ToolResult { content, .. } => clean(content),
            Event::Citation(citation) => {
                self.guard.cited();
                clean(&mut citation.title);
                clean(&mut citation.heading);
                clean(&mut citation.quote);
                if let Some(source) = &mut citation.source {
                    clean(source);
                }
            }
            Event::Started { .. } | Event::Retract { .. } | Event::Blocked(_) | Event::Done(_) => {}
        }
        Some(event)
    }

    /// What is still held back: no more text follows.
    pub(super) fn rest(&mut self) -> Option<Event> {
        let text = self.text.rest();
        self.guard.redacted(At::Output, &self.text.counts());
        self.text = self.guard.stream(At::Output);
        if text.is_empty() {
            return None;
        }
        self.guard.said(&text);
        Some(Event::Text { text })
    }
}
