//! A run in a trace: one span for each of its lives, all of them children of the request that started it, on whichever
//! host they are. Called at a life's beginning and end; nothing is done where there are no traces.

use std::borrow::Cow;

use super::execute::Work;
use crate::kit::http::request;
use crate::kit::trace::{Span, genai, kinds};
use crate::runs::start::{Message, Role};
use crate::runs::store::NewRow;
use crate::runs::{Runs, Usage};

impl Runs {
    /// The first life. What its later ones are children of is kept with the run: the request, or this life where there
    /// is none.
    pub(in crate::runs) fn begins(
        &self,
        row: &mut NewRow,
        agent: &str,
        messages: &[Message],
    ) -> Span {
        let under = request::trace();
        let span = self.inner.tracing.span(&under, || {
            genai::invoke_agent(row.agent.to_string(), agent, row.version)
        });
        row.traceparent = under.traceparent().or_else(|| span.trace().traceparent());
        self.belongs(&span, row);
        span.content(genai::INPUT_MESSAGES, || {
            let said = messages.iter().map(|message| {
                let role = match message.role {
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                (role, Cow::Borrowed(message.text.as_str()))
            });
            genai::messages(said)
        });
        span
    }

    /// A later life.
    pub(super) fn goes_on(&self, row: &NewRow, agent: &str) -> Span {
        let tracing = &self.inner.tracing;
        let under = tracing.continued(row.traceparent.as_deref());
        let new = || genai::invoke_agent(row.agent.to_string(), agent, row.version);
        let span = tracing.span(&under, new);
        self.belongs(&span, row);
        span
    }

    fn belongs(&self, span: &Span, row: &NewRow) {
        if span.is_recording() {
            span.set(kinds::ORG_ID, row.org.to_string());
            span.set(kinds::RUN_ID, row.run.to_string());
            span.set(kinds::NODE_ID, self.inner.node.to_string());
            if let Some(conversation) = row.conversation {
                genai::conversation(span, conversation.to_string());
            }
        }
    }
}

/// The run ended with this life.
pub(super) fn ended(
    work: &Work,
    (state, stop_reason): (&'static str, &'static str),
    (usage, said): (&Usage, Option<String>),
) {
    let span = &work.span;
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    span.set(kinds::STATE, state);
    span.set(kinds::STOP_REASON, stop_reason);
    span.set(kinds::FUEL, usage.fuel);
    span.set(kinds::HOST_CALLS, usage.host_calls);
    genai::usage(
        span,
        (number(usage.input_tokens), number(usage.output_tokens)),
    );
    if usage.estimated {
        span.set(kinds::ESTIMATED, true);
    }
    if state == "failed" {
        span.fail(stop_reason);
    }
    if let Some(said) = said {
        span.content(genai::OUTPUT_MESSAGES, || {
            genai::messages(std::iter::once(("assistant", said.into())))
        });
    }
}

/// This life ended and the run goes on elsewhere, or later.
pub(super) fn left(work: &Work, how: &'static str) {
    work.span.set(kinds::LEFT, how);
}
