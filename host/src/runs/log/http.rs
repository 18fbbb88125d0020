//! The routes that read a run's log: its events, as they come or as they stand, and its journal.
#![expect(
    unused_qualifications,
    reason = "utoipa's macros qualify what they name"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body as ResponseBody;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::stream::Stream;
use crate::agents::channels::By;
use crate::conversations::memory;
use crate::guardrails::{At, Guard};
use crate::identity::{Caller, Identity, Read};
use crate::kit::http::{Page, Params, Problem, Query, sse};
use crate::kit::{Code, Error, OrgId, Result};
use crate::runs::http::RunPath;
use crate::runs::view::{EventView, StepView};
use crate::runs::{RunId, Runs, store};

pub const NO_SUCH_EVENT: Code = Code::new("no_such_event", 422, "The run has no such event");

const KEEP_ALIVE: Duration = Duration::from_secs(15);
const EVENTS_PAGE: i64 = 1_000;

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Runs: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(steps))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// Only events after this seq.
    after: Option<i32>,
}

/// Read a run's events
///
/// With `Accept: text/event-stream` as they come, from `Last-Event-ID` or `?after=` on; 204 where the run has ended
/// and nothing is left. Else up to 1,000 of them as JSON. A seq the run has not reached is refused.
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/runs/{run}/events", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), ("run" = String, Path,), EventsQuery),
    responses((status = 200, body = Page<EventView>), (status = 204, description = "Nothing is left to send."),
        (status = "4XX", body = Problem)))]
async fn events(
    State(runs): State<Runs>,
    Read(caller): Read,
    Params(path): Params<RunPath>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let run = path.id()?;
    let after = resume_point(&headers, query.after)?;
    if !wants_stream(&headers) {
        let data = runs.events(&caller, &path.agent, run, after).await?;
        return Ok(Json(Page {
            data,
            next_cursor: None,
        })
        .into_response());
    }
    let view = runs.get(&caller, &path.agent, run).await?;
    runs.may_follow((caller.org, run), after).await?;
    if view.ended_at.is_none() {
        let stream = runs.stream(&caller, &path.agent, run, after).await?;
        return Ok(event_stream(stream, runs.shutdown()));
    }
    // Either something is left, or the client has it all.
    let mut stream = Stream::of_ended(runs.source(), (caller.org, run), after);
    let Some(first) = stream.next_stored().await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    stream.give_back(first);
    Ok(event_stream(stream, runs.shutdown()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct StepsQuery {
    /// Only steps after this seq.
    after: Option<i32>,
}

/// Read a run's journal
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/runs/{run}/steps", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), ("run" = String, Path,), StepsQuery),
    responses((status = 200, body = Page<StepView>), (status = "4XX", body = Problem)))]
async fn steps(
    State(runs): State<Runs>,
    Read(caller): Read,
    Params(path): Params<RunPath>,
    Query(query): Query<StepsQuery>,
) -> Result<Json<Page<StepView>>> {
    let data = runs
        .steps(&caller, &path.agent, path.id()?, query.after.unwrap_or(0))
        .await?;
    Ok(Json(Page {
        data,
        next_cursor: None,
    }))
}

impl Runs {
    async fn events(
        &self,
        caller: &Caller,
        agent: &str,
        run: RunId,
        after: i32,
    ) -> Result<Vec<EventView>> {
        if !self.exists(caller, agent, run).await? {
            return Err(Error::not_found("run"));
        }
        self.may_follow((caller.org, run), after).await?;
        let events =
            super::events_after(&self.inner.db, (caller.org, run), after, EVENTS_PAGE).await?;
        events
            .into_iter()
            .map(|event| {
                let data = serde_json::value::RawValue::from_string((*event.data).to_owned())?;
                Ok(EventView {
                    seq: event.seq,
                    at: event.at,
                    kind: (*event.kind).to_owned(),
                    data,
                })
            })
            .collect()
    }

    /// Refuses a seq the run has not reached: no client was shown it, so there is nothing it could go on from. What a
    /// client was shown is in the table, on every node.
    async fn may_follow(&self, (org, run): (OrgId, RunId), after: i32) -> Result<()> {
        if after == 0 {
            return Ok(());
        }
        let last = super::last_event(&self.inner.db, org, run.0).await?;
        if after <= last {
            return Ok(());
        }
        Err(NO_SUCH_EVENT.because(format!(
            "The run's last event is {last}, and {after} is beyond it: go on from the `id` of the last event you got, \
             or from 0."
        )))
    }

    /// A page of the run's journal, as a reader may see it.
    pub(in crate::runs) async fn steps(
        &self,
        caller: &Caller,
        agent: &str,
        run: RunId,
        after: i32,
    ) -> Result<Vec<StepView>> {
        let version = By::Version(self.get(caller, agent, run).await?.version);
        let resolved = self.inner.agents.resolve(caller, agent, version).await?;
        let of = (caller.org, run);
        let mut steps = store::steps_after(&self.inner.db, of, (after, EVENTS_PAGE)).await?;
        // The journal holds what the guest worked with; who reads it is shown what a client may see.
        let guard = Guard::new(Arc::clone(&resolved.guardrails));
        for step in &mut steps {
            if let Some(response) = &mut step.response {
                memory::shown(&step.kind, &mut step.request, response);
            }
            guard.clean_json(At::Log, &mut step.request);
            if let Some(response) = &mut step.response {
                if resolved.guardrails.redacts_output() {
                    join_texts(response);
                }
                guard.clean_json(At::Log, response);
            }
        }
        Ok(steps)
    }
}

/// Texts of a generation that follow each other as one: what is redacted may be cut between them.
fn join_texts(response: &mut Value) {
    let Some(chunks) = response
        .pointer_mut("/ok/chunks")
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    let mut joined: Vec<Value> = Vec::with_capacity(chunks.len());
    for chunk in chunks.drain(..) {
        let more = chunk.get("Text").and_then(Value::as_str);
        let last = joined.last_mut().and_then(|last| last.get_mut("Text"));
        match (last, more) {
            (Some(Value::String(text)), Some(more)) => text.push_str(more),
            _ => joined.push(chunk),
        }
    }
    *chunks = joined;
}

pub(in crate::runs) fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"))
}

fn resume_point(headers: &HeaderMap, after: Option<i32>) -> Result<i32> {
    let last = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let after = match last {
        Some(text) => text.parse().map_err(|_| {
            Error::invalid("`Last-Event-ID` must be the `id` of an event of this run.")
        })?,
        None => after.unwrap_or(0),
    };
    if after < 0 {
        return Err(Error::invalid("`after` must be the seq of an event, or 0."));
    }
    Ok(after)
}

/// The events as SSE. The body is pulled by the connection, so a reader that does not read holds nothing but its
/// place. A host that goes away ends it: without the last event, so the client goes on elsewhere.
pub(in crate::runs) fn event_stream(stream: Stream, shutdown: CancellationToken) -> Response {
    let frames = unfold((stream, true), move |(mut stream, first)| {
        let shutdown = shutdown.clone();
        async move {
            if first {
                return Some((Ok::<Bytes, Infallible>(sse::KEEP_ALIVE), (stream, false)));
            }
            let frame = tokio::select! {
                biased;
                frame = next_frame(&mut stream) => frame?,
                // A run that was handed over goes on elsewhere, and so does its reader.
                () = shutdown.cancelled() => return None,
            };
            Some((Ok(frame), (stream, false)))
        }
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, ResponseBody::from_stream(frames)).into_response()
}

async fn next_frame(stream: &mut Stream) -> Option<Bytes> {
    match tokio::time::timeout(KEEP_ALIVE, stream.next_while_up()).await {
        Err(_) => Some(sse::KEEP_ALIVE),
        Ok(Ok(Some(event))) => Some(sse::frame(event.seq, &event.kind, &event.data)),
        Ok(Ok(None)) => None,
        Ok(Err(error)) => {
            // The client resumes with the last id it has.
            tracing::warn!(%error, cause = error.chain(), "a stream was cut");
            None
        }
    }
}
