//! Spans that have ended, on their way to the collector: a bounded queue that never makes anybody wait.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc;

/// The near end of the queue.
#[derive(Debug)]
pub(super) struct Queue(pub(super) mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            dropped(1, "queue");
        }
    }

    /// The exporter flushes itself: see `Tracing::stop`.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Spans that no collector will see.
pub(super) fn dropped(spans: usize, why: &'static str) {
    metrics::counter!("bulkhead_trace_spans_dropped_total", "reason" => why)
        .increment(spans as u64);
}
