//! W3C Trace Context, as it is sent and received: `traceparent` and nothing else, read strictly. What is malformed is
//! as if it were not there.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use reqwest::header::HeaderMap;

use super::{Trace, Tracing};

pub const HEADER: &str = "traceparent";

/// Bytes of `00-<trace>-<span>-<flags>`.
const BYTES: usize = 55;

impl Tracing {
    /// The place a request says it comes from. Nowhere without traces, or where the header is missing, malformed or
    /// there twice.
    pub fn from_headers(&self, headers: &HeaderMap) -> Trace {
        let mut values = headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (Some(value), None) if self.is_on() => self.continued(value.to_str().ok()),
            _ => Trace::default(),
        }
    }

    /// The place `Trace::traceparent` told.
    pub fn continued(&self, traceparent: Option<&str>) -> Trace {
        let place = self.0.clone().zip(traceparent.and_then(parse));
        Trace(place)
    }
}

impl Trace {
    /// What tells others of this place.
    pub fn traceparent(&self) -> Option<String> {
        let (_, context) = self.0.as_ref()?;
        Some(format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags() & TraceFlags::SAMPLED
        ))
    }

    /// The trace, as a log names it.
    pub fn id(&self) -> Option<String> {
        let (_, context) = self.0.as_ref()?;
        Some(context.trace_id().to_string())
    }
}

/// Versions to come may add fields behind; the first four stay as they are.
fn parse(text: &str) -> Option<SpanContext> {
    let (known, rest) = text.split_at_checked(BYTES)?;
    let mut parts = known.split('-');
    let (version, trace) = (hex(parts.next()?, 2)?, hex(parts.next()?, 32)?);
    let (span, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    let fits = match version {
        "00" => rest.is_empty(),
        "ff" => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    (fits && parts.next().is_none() && context.is_valid()).then_some(context)
}

fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (text.len() == digits && text.bytes().all(is_lower_hex)).then_some(text)
}
