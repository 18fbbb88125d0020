//! OpenTelemetry traces, off unless a collector is configured. `Tracing` is the host's handle, `Trace` a place in a trace
//! that is handed down with the work, `Span` an operation that ends when it is dropped. Invariants: off costs a look at
//! an `Option`; on, nothing waits for a collector; no text of anybody's is in a span unless `content` says so.

mod config;
mod export;
pub mod genai;
pub mod kinds;
mod parent;
mod queue;
mod span;

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, Tracer as _};
use opentelemetry_sdk::trace::SdkTracer;

use super::Clock;

pub use config::Config;
pub use parent::HEADER;
pub use span::{New, Span};

/// The traces of a host, or none. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracing(Option<Arc<On>>);

/// A place in a trace: what begins under it is a child of it. Nowhere, by default.
#[derive(Clone, Debug, Default)]
pub struct Trace(Option<(Arc<On>, SpanContext)>);

#[derive(Debug)]
struct On {
    tracer: SdkTracer,
    clock: Clock,
    content: bool,
    export: export::Stop,
}

impl Tracing {
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A span under a place, or the first of a trace of its own.
    pub fn span(&self, under: &Trace, new: impl FnOnce() -> New) -> Span {
        match &self.0 {
            Some(on) => begin(on, under.0.as_ref().map(|(_, context)| context), new()),
            None => Span::default(),
        }
    }
}

impl Trace {
    /// Whether its spans carry what was said.
    pub fn takes_content(&self) -> bool {
        self.0.as_ref().is_some_and(|(on, _)| on.content)
    }

    /// A span under this place; nothing where this is nowhere.
    pub fn child(&self, new: impl FnOnce() -> New) -> Span {
        match &self.0 {
            Some((on, context)) => begin(on, Some(context), new()),
            None => Span::default(),
        }
    }
}

fn begin(on: &Arc<On>, under: Option<&SpanContext>, new: New) -> Span {
    let mut context = Context::new();
    if let Some(under) = under {
        context = context.with_remote_span_context(under.clone());
    }
    let new = new.0.with_start_time(on.clock.now());
    Span::new(on, on.tracer.build_with_context(new, &context))
}
