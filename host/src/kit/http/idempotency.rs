//! `Idempotency-Key` on every mutating POST: the first request does the work, a repeat with the same body is
//! answered with what the first was answered, for 24 h. In flight: 409. Another body: 422. A stream is not stored:
//! its repeat is told where it lives (`Replay`) and the handler streams it again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::body::collect;
use super::{request, store};
use crate::kit::error::INVALID;
use crate::kit::secret::Seal;
use crate::kit::{Base, Code, Error, Result, Secret};

pub const IN_FLIGHT: Code = Code::new(
    "idempotency_in_flight",
    409,
    "The first request is still at work",
);
pub const OTHER_BODY: Code = Code::new(
    "idempotency_mismatch",
    422,
    "The key was used for another request",
);

const REPLAYED: &str = "idempotency-replayed";

const KEPT_FOR: time::Duration = time::Duration::hours(24);
/// The largest answer there is: a run's whole output, escaped.
const ANSWER_MAX: usize = 32 << 20;

/// Proves a request's caller by its headers, and tells the request's extensions who it is, before anything is kept for it or shown to it.
pub type Admit = Arc<dyn Fn(HeaderMap, Extensions) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// What the middleware needs.
#[derive(Clone)]
pub struct Idempotency {
    pub base: Base,
    /// Answers are sealed at rest: one may show a key's secret.
    pub seal: Seal,
    pub admit: Admit,
    /// A first request that died with its host blocks its key no longer than this; one at work renews its claim.
    pub claimed_for: Duration,
    /// The most bytes of a body under a key: the largest body any JSON route takes.
    pub body_max: usize,
}

/// The id the request's new thing must take, so that a repeat after a crash finds it instead of making a second.
#[derive(Clone, Copy, Debug)]
pub struct Assigned(pub Uuid);

/// Put into a response that must not be stored: its repeat is handed to the handler with `Assigned` and `Replay`.
#[derive(Clone, Copy, Debug)]
pub struct Replay;

/// What a handler learns of its request's key.
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    /// The id its new thing must take, where the request has a key.
    pub assigned: Option<Uuid>,
    /// The first request was answered with a stream: stream it again.
    pub stream: bool,
}

impl<S: Sync> FromRequestParts<S> for Repeat {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self {
            assigned: parts.extensions.get::<Assigned>().map(|id| id.0),
            stream: parts.extensions.get::<Replay>().is_some(),
        })
    }
}

struct Key {
    scope: Vec<u8>,
    body: Vec<u8>,
    /// Marks the claim of this request.
    token: Uuid,
}

/// The layer. Requests without the header, and other methods, pass.
pub async fn remember(State(state): State<Idempotency>, request: Request, next: Next) -> Response {
    match keyed(&state, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn keyed(state: &Idempotency, request: Request, next: Next) -> Result<Response> {
    let Some(header) = request.headers().get("idempotency-key") else {
        return Ok(next.run(request).await);
    };
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let sane = header
        .to_str()
        .ok()
        .filter(|text| (1..=255).contains(&text.len()));
    let header = sane
        .ok_or_else(|| INVALID.because("`Idempotency-Key` must be 1 to 255 printable characters."))?
        .to_owned();
    (state.admit)(request.headers().clone(), request.extensions().clone()).await?;
    let (mut parts, body) = request.into_parts();
    let body = collect(body, state.body_max).await?;
    let key = Key {
        scope: scope(&parts.headers, parts.uri.path(), &header),
        body: Sha256::digest(&body).to_vec(),
        token: state.base.ids.next(),
    };
    let assigned = match claim(state, &key).await? {
        Claim::First(assigned) => assigned,
        Claim::Done(response) => return Ok(response),
        Claim::Stream(assigned) => {
            parts.extensions.insert(Assigned(assigned));
            parts.extensions.insert(Replay);
            let mut response = next.run(Request::from_parts(parts, Body::from(body))).await;
            response
                .headers_mut()
                .insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok(response);
        }
    };
    parts.extensions.insert(Assigned(assigned));
    let request = Request::from_parts(parts, Body::from(body));
    finish(state.clone(), key, next.run(request)).await
}

/// Does the work and keeps the answer even where the client does not wait for it: its repeat will ask.
async fn finish(
    state: Idempotency,
    key: Key,
    work: impl Future<Output = Response> + Send + 'static,
) -> Result<Response> {
    let (db, scope, token) = (state.base.db.clone(), key.scope.clone(), key.token);
    let tasks = state.base.tasks.clone();
    let done = tasks.spawn(request::carried(async move {
        let response = claimed(&state, &key, work).await;
        keep(&state, &key, response).await
    }));
    match done.await {
        Ok(answer) => answer,
        Err(panic) => {
            store::release(&db, (&scope, token)).await?;
            Err(Error::internal(panic))
        }
    }
}

/// Does the work, and says meanwhile that somebody is at it.
async fn claimed(state: &Idempotency, key: &Key, work: impl Future<Output = Response>) -> Response {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(state.claimed_for / 3, &mut work).await {
            Ok(response) => return response,
            Err(_) => {
                let now = state.base.clock.now();
                let claim = (&key.scope[..], key.token);
                if let Err(error) = store::renew(&state.base.db, claim, now).await {
                    tracing::warn!(%error, cause = error.chain(), "an idempotency key was not renewed");
                }
            }
        }
    }
}

/// A key belongs to its caller and its route; the credential itself is not kept, only its digest with the rest.
fn scope(headers: &HeaderMap, path: &str, key: &str) -> Vec<u8> {
    let mut digest = Sha256::new();
    let caller = headers
        .get(header::AUTHORIZATION)
        .map_or(&b""[..], HeaderValue::as_bytes);
    for part in [caller, path.as_bytes(), key.as_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().to_vec()
}

enum Claim {
    First(Uuid),
    Done(Response),
    Stream(Uuid),
}

async fn claim(state: &Idempotency, key: &Key) -> Result<Claim> {
    let now = state.base.clock.now();
    let times = store::Times {
        now,
        expired: now - KEPT_FOR,
        abandoned: now - state.claimed_for,
    };
    let row = store::claim(&state.base.db, (&key.scope, &key.body), key.token, times).await?;
    if row.body != key.body {
        return Err(OTHER_BODY.because("Use a new `Idempotency-Key` for another body."));
    }
    match row.status {
        None if row.claim == key.token => Ok(Claim::First(row.assigned)),
        None => Err(IN_FLIGHT.because("Wait for the first request with this key, then repeat.")),
        Some(store::STREAM) => Ok(Claim::Stream(row.assigned)),
        Some(_) => Ok(Claim::Done(rebuild(state, key, row)?)),
    }
}

async fn keep(state: &Idempotency, key: &Key, response: Response) -> Result<Response> {
    let status = response.status();
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        // Nothing was done: the same key may try again.
        store::release(&state.base.db, (&key.scope, key.token)).await?;
        return Ok(response);
    }
    if response.extensions().get::<Replay>().is_some() {
        store::keep(&state.base.db, (&key.scope, key.token), store::STREAM, None).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_MAX).await.map_err(Error::internal)?;
    let headers: Vec<(String, String)> = [header::CONTENT_TYPE, header::LOCATION]
        .iter()
        .filter_map(|name| {
            Some((
                name.to_string(),
                parts.headers.get(name)?.to_str().ok()?.to_owned(),
            ))
        })
        .collect();
    let headers = serde_json::to_value(headers).map_err(Error::internal)?;
    let status = i32::from(status.as_u16());
    let text = String::from_utf8(body.to_vec()).map_err(Error::internal)?;
    let sealed = state.seal.seal(&key.scope, &Secret::new(text));
    let kept = Some((&headers, &sealed[..]));
    store::keep(&state.base.db, (&key.scope, key.token), status, kept).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn rebuild(state: &Idempotency, key: &Key, row: store::Row) -> Result<Response> {
    let answer = row.answer.unwrap_or_default();
    let text = state.seal.open(&key.scope, &answer)?;
    let status = row
        .status
        .and_then(|status| u16::try_from(status).ok())
        .and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = Response::new(Body::from(text.expose().to_owned()));
    *response.status_mut() = status.unwrap_or(StatusCode::OK);
    let headers: Vec<(String, String)> =
        serde_json::from_value(row.headers.unwrap_or_default()).map_err(Error::internal)?;
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(Error::internal)?;
        response
            .headers_mut()
            .insert(name, HeaderValue::try_from(value).map_err(Error::internal)?);
    }
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
