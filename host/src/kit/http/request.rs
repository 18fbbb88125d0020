//! The id of a request: taken from `x-request-id` where it is sane, else minted; echoed in the answer, in problems
//! and in every log line of the request. Panics of a handler end here as a problem.

use std::fmt;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::kit::{Error, Ids};

const HEADER: &str = "x-request-id";

/// The id of the request being answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The request this task answers, if it answers one.
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(Clone::clone).ok()
}

/// `work` under the id and the span of the request being answered, wherever it is spawned.
pub(super) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let (id, work) = (current(), work.in_current_span());
    async move {
        match id {
            Some(id) => CURRENT.scope(id, work).await,
            None => work.await,
        }
    }
}

/// The outermost layer: names the request, times it, counts it.
pub async fn identify(
    axum::extract::State(ids): axum::extract::State<Ids>,
    request: Request,
    next: Next,
) -> Response {
    let id =
        sent_id(&request).unwrap_or_else(|| RequestId(ids.next::<Uuid>().simple().to_string()));
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", id = %id, method = %request.method(), route);
    let method = request.method().clone();
    let answer = CURRENT.scope(id.clone(), next.run(request).instrument(span));
    let mut response = answer.await;
    metrics::counter!(
        "bulkhead_http_requests_total",
        "method" => method_label(&method),
        "route" => route,
        "status" => response.status().as_u16().to_string(),
    )
    .increment(1);
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(HEADER, value);
    }
    response
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
    sane.then(|| RequestId(text.to_owned()))
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
