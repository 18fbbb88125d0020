//! Spans of what is not GenAI: requests, by the stable HTTP names, and judgements of guardrails. And the host's own names,
//! all of them `bulkhead.*`.

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;

use super::{New, Span};

/// Whose run it is, which, and by which host.
pub const ORG_ID: &str = "bulkhead.org.id";
pub const RUN_ID: &str = "bulkhead.run.id";
pub const NODE_ID: &str = "bulkhead.node.id";
/// What became of it, and what it used.
pub const STATE: &str = "bulkhead.run.state";
pub const STOP_REASON: &str = "bulkhead.run.stop_reason";
pub const FUEL: &str = "bulkhead.run.fuel";
pub const HOST_CALLS: &str = "bulkhead.run.host_calls";
/// Where a life of a run ended without the run's end: `suspended`, `handed_over` or `lost`.
pub const LEFT: &str = "bulkhead.run.left";
/// Tokens are the host's estimate.
pub const ESTIMATED: &str = "bulkhead.usage.estimated";
/// A generation that was dropped before its end.
pub const CUT_SHORT: &str = "bulkhead.generation.cut_short";
/// Passages a search found.
pub const HITS: &str = "bulkhead.knowledge.hits";
/// What a guardrail component said: `allow`, `rewrite` or `block`.
pub const VERDICT: &str = "bulkhead.guardrail.verdict";

const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";

/// A request, by its route's template: no path, no query, no header.
pub fn request(method: &'static str, route: &str) -> New {
    // What is no method of HTTP has one name in the conventions.
    let (method, shown) = match method {
        "other" => ("_OTHER", "HTTP"),
        known => (known, known),
    };
    let attributes = vec![
        KeyValue::new(METHOD, method),
        KeyValue::new(ROUTE, route.to_owned()),
    ];
    New::of(format!("{shown} {route}"), SpanKind::Server, attributes)
}

pub fn answered(span: &Span, status: u16) {
    span.set(STATUS, i64::from(status));
    if status >= 500 {
        span.fail(status.to_string());
    }
}

/// A guardrail component is asked about a text.
pub fn judgement(component: &str, at: &'static str) -> New {
    let attributes = vec![
        KeyValue::new("bulkhead.guardrail.component", component.to_owned()),
        KeyValue::new("bulkhead.guardrail.at", at),
    ];
    New::of(format!("judge {component}"), SpanKind::Internal, attributes)
}
