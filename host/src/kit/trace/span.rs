//! A span: what is said of an operation while it goes on. It ends, by the host's clock, when it is dropped.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::Span as Recorded;

use super::{On, Trace};

/// What the class of an error stands under.
const ERROR: &str = "error.type";

/// A span to begin; `kinds` and `genai` make them.
#[derive(Debug)]
pub struct New(pub(super) SpanBuilder);

/// An operation under way, or nothing where there are no traces.
#[derive(Debug, Default)]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    span: Mutex<Recorded>,
    context: SpanContext,
    on: Arc<On>,
}

impl New {
    pub(super) fn of(
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Self {
        let new = SpanBuilder::from_name(name);
        Self(new.with_kind(kind).with_attributes(attributes))
    }
}

impl Span {
    pub(super) fn new(on: &Arc<On>, span: Recorded) -> Self {
        Self(Some(Box::new(Open {
            context: span.span_context().clone(),
            span: Mutex::new(span),
            on: Arc::clone(on),
        })))
    }

    /// The place under this span.
    pub fn trace(&self) -> Trace {
        let open = self.0.as_ref();
        Trace(open.map(|open| (Arc::clone(&open.on), open.context.clone())))
    }

    /// Whether anybody will see what is said of it.
    pub fn is_recording(&self) -> bool {
        let mut recording = false;
        self.with(|_| recording = true);
        recording
    }

    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        self.with(|span| span.set_attribute(KeyValue::new(name, value)));
    }

    /// It failed; `class` is one of few words, never a text.
    pub fn fail(&self, class: impl Into<Cow<'static, str>>) {
        self.with(|span| {
            span.set_attribute(KeyValue::new(ERROR, class.into()));
            span.set_status(Status::error(""));
        });
    }

    /// What somebody said, where the operator wants that; the text holds no credentials.
    pub fn content(&self, name: &'static str, text: impl FnOnce() -> String) {
        if self.0.as_ref().is_some_and(|open| open.on.content) {
            self.with(|span| span.set_attribute(KeyValue::new(name, text())));
        }
    }

    /// A text for later, where somebody wants it.
    pub fn content_of(&self, text: &str) -> Option<String> {
        let wanted = self.0.as_ref().is_some_and(|open| open.on.content);
        wanted.then(|| text.to_owned())
    }

    fn with(&self, change: impl FnOnce(&mut Recorded)) {
        if let Some(open) = &self.0 {
            let mut span = open.span.lock().unwrap_or_else(PoisonError::into_inner);
            if span.is_recording() {
                change(&mut span);
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let span = self.span.get_mut().unwrap_or_else(PoisonError::into_inner);
        span.end_with_timestamp(self.on.clock.now().into());
    }
}
