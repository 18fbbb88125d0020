//! The id of a request: taken from `x-request-id` where it is sane, else minted; echoed in the answer, in problems
//! and in every log line of the request; the address it came from; and its place in a trace, which `traceparent` says
//! on the way in and on the way out. Panics of a handler end here as a problem.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::kit::trace::{self, Span, kinds};
use crate::kit::{Error, Ids, Trace, Tracing};

const HEADER: &str = "x-request-id";

/// The id of the request being answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The other end of the connection, put into every request of it.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What is known of the request being answered.
#[derive(Clone)]
struct Current {
    id: RequestId,
    ip: Option<IpAddr>,
    trace: Trace,
}

tokio::task_local! {
    static CURRENT: Current;
}

/// The request this task answers, if it answers one.
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(|current| current.id.clone()).ok()
}

/// The address the request being answered came from: the connection's other end, whatever a header says.
pub fn ip() -> Option<IpAddr> {
    CURRENT.try_with(|current| current.ip).ok().flatten()
}

/// The place of the request being answered in its trace.
pub fn trace() -> Trace {
    let trace = CURRENT.try_with(|current| current.trace.clone());
    trace.unwrap_or_default()
}

/// `work` under the id and the span of the request being answered, wherever it is spawned.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let current = CURRENT.try_with(Clone::clone).ok();
    let work = work.in_current_span();
    async move {
        match current {
            Some(current) => CURRENT.scope(current, work).await,
            None => work.await,
        }
    }
}

/// The outermost layer: names the request, times it, counts it.
pub async fn identify(
    axum::extract::State((ids, tracing)): axum::extract::State<(Ids, Tracing)>,
    request: Request,
    next: Next,
) -> Response {
    let id = sent_id(&request)
        .unwrap_or_else(|| RequestId(ids.next::<Uuid>().simple().to_string().into()));
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let method = method_label(request.method());
    let span = begin(&tracing, &request, (method, &route));
    let trace = span.trace();
    let log = tracing::info_span!("request", id = %id, method = %request.method(), route, trace = tracing::field::Empty);
    if let Some(id) = trace.id() {
        log.record("trace", id);
    }
    let current = Current {
        id: id.clone(),
        ip: request.extensions().get().map(|Peer(peer)| peer.ip()),
        trace: trace.clone(),
    };
    let answer = CURRENT.scope(current, next.run(request).instrument(log));
    let mut response = answer.await;
    metrics::counter!(
        "bulkhead_http_requests_total",
        "method" => method,
        "route" => route,
        "status" => response.status().as_u16().to_string(),
    )
    .increment(1);
    kinds::answered(&span, response.status().as_u16());
    if let Some(Ok(value)) = trace.traceparent().map(HeaderValue::try_from) {
        response.headers_mut().insert(trace::HEADER, value);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

/// The span of a request; health checks have none.
fn begin(tracing: &Tracing, request: &Request, (method, route): (&'static str, &str)) -> Span {
    if !tracing.is_on() || matches!(route, "/livez" | "/readyz") {
        return Span::default();
    }
    let from = tracing.from_headers(request.headers());
    tracing.span(&from, || kinds::request(method, route))
}

/// What a panicking handler is answered with; the panic hook has logged the panic itself.
pub fn panicked(_panic: Box<dyn std::any::Any + Send>) -> Response {
    Error::internal("a handler panicked").into_response()
}

fn sent_id(request: &Request) -> Option<RequestId> {
    let text = request.headers().get(HEADER)?.to_str().ok()?;
    let sane = (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    sane.then(|| RequestId(text.into()))
}

/// Labels stay bounded whatever a client calls its method.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
