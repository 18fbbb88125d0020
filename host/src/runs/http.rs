//! The routes of runs.
#![expect(
    unused_qualifications,
    reason = "utoipa's macros qualify what they name"
)]

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body as ResponseBody;
use axum::extract::{Extension, FromRef, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::log::stream::Stream;
use super::start::{NewRun, Started};
use super::view::{EventView, RunView, StepView};
use super::{RunId, Runs, store};
use crate::identity::{Caller, Identity, Read, Run};
use crate::kit::http::idempotency::{Assigned, Replay};
use crate::kit::http::{Body, Cursor, Page, Params, Problem, Query, sse};
use crate::kit::{Error, Result};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
const WAIT_MAX_S: u64 = 60;
const EVENTS_PAGE: i64 = 1_000;

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Runs: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(events))
        .routes(routes!(steps))
        .routes(routes!(cancel))
}

#[derive(Deserialize)]
struct AgentPath {
    agent: String,
}

#[derive(Deserialize)]
struct RunPath {
    agent: String,
    run: String,
}

impl RunPath {
    fn id(&self) -> Result<RunId> {
        self.run.parse().map_err(|_| Error::not_found("run"))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct CreateQuery {
    /// Seconds to wait for the end before answering, 1 to 60.
    wait: Option<u64>,
}

/// Start a run
///
/// With `Accept: text/event-stream` the answer is the run's events; else 202, or the ended run with `?wait=`.
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/runs", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), CreateQuery), request_body = NewRun,
    responses((status = 200, body = RunView, description = "ended within `wait`, or the stream of its events"),
        (status = 202, body = RunView), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn create(
    State(runs): State<Runs>,
    Run(caller): Run,
    Params(path): Params<AgentPath>,
    Query(query): Query<CreateQuery>,
    assigned: Option<Extension<Assigned>>,
    replay: Option<Extension<Replay>>,
    headers: HeaderMap,
    Body(new): Body<NewRun>,
) -> Result<Response> {
    if query
        .wait
        .is_some_and(|wait| !(1..=WAIT_MAX_S).contains(&wait))
    {
        return Err(Error::invalid(format!(
            "`wait` must be 1 to {WAIT_MAX_S} seconds."
        )));
    }
    let id = assigned.map(|Extension(Assigned(id))| id);
    if let Some(run) = id.map(RunId)
        && (replay.is_some() || runs.exists(&caller, &path.agent, run).await?)
    {
        // The first request made this run: show it again.
        let stream = runs.stream(&caller, &path.agent, run, 0).await?;
        return Ok(streamed(&caller, &path.agent, run, stream));
    }
    let Started { run, live, events } = runs.start(&caller, &path.agent, new, id).await?;
    if wants_stream(&headers) {
        return Ok(streamed(&caller, &path.agent, run, events));
    }
    if let Some(wait) = query.wait {
        // Over or not, what follows tells how the run stands.
        let _ = tokio::time::timeout(Duration::from_secs(wait), live.ended()).await;
    }
    let view = runs.get(&caller, &path.agent, run).await?;
    let status = if view.ended_at.is_some() {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    Ok((
        status,
        [(header::LOCATION, location(&caller, &path.agent, run))],
        Json(view),
    )
        .into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    cursor: Option<String>,
    /// 1 to 200; 50 where absent.
    limit: Option<u32>,
    state: Option<String>,
    stop_reason: Option<String>,
    version: Option<i32>,
    /// Started at or after, RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option")]
    from: Option<OffsetDateTime>,
    /// Started before, RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option")]
    to: Option<OffsetDateTime>,
}

/// List an agent's runs, newest first
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/runs", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), ListQuery),
    responses((status = 200, body = Page<RunView>), (status = "4XX", body = Problem)))]
async fn list(
    State(runs): State<Runs>,
    Read(caller): Read,
    Params(path): Params<AgentPath>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<RunView>>> {
    Ok(Json(runs.list(&caller, &path.agent, query).await?))
}

/// Show a run
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/runs/{run}", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), ("run" = String, Path,)),
    responses((status = 200, body = RunView), (status = "4XX", body = Problem)))]
async fn get(
    State(runs): State<Runs>,
    Read(caller): Read,
    Params(path): Params<RunPath>,
) -> Result<Json<RunView>> {
    Ok(Json(runs.get(&caller, &path.agent, path.id()?).await?))
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
/// and nothing is left. Else up to 1,000 of them as JSON.
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
    let mut stream = runs.stream(&caller, &path.agent, run, after).await?;
    if view.ended_at.is_some() {
        // Either something is left, or the client has it all.
        stream = stream.complete();
        let Some(first) = stream.next_stored().await? else {
            return Ok(StatusCode::NO_CONTENT.into_response());
        };
        stream.give_back(first);
    }
    Ok(event_stream(stream))
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

/// Cancel a run
///
/// The first request is answered 202, a repeat 200 with the original times; both with the receipt once the run is
/// gone, which is before the answer unless the stop took longer than the host waits.
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/runs/{run}/cancel", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), ("run" = String, Path,)),
    responses((status = 202, body = RunView), (status = 200, body = RunView), (status = "4XX", body = Problem)))]
async fn cancel(
    State(runs): State<Runs>,
    Run(caller): Run,
    Params(path): Params<RunPath>,
) -> Result<(StatusCode, Json<RunView>)> {
    let cancelled = runs.cancel(&caller, &path.agent, path.id()?).await?;
    let status = if cancelled.first {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(cancelled.run)))
}

impl Runs {
    pub async fn get(&self, caller: &Caller, agent: &str, run: RunId) -> Result<RunView> {
        let filter = store::Filter {
            run: Some(run),
            ..store::Filter::default()
        };
        let found = store::list(&self.inner.db, (caller.org, agent), &filter, (None, 1)).await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| Error::not_found("run"))
    }

    async fn exists(&self, caller: &Caller, agent: &str, run: RunId) -> Result<bool> {
        store::exists(&self.inner.db, (caller.org, agent, run)).await
    }

    async fn list(&self, caller: &Caller, agent: &str, query: ListQuery) -> Result<Page<RunView>> {
        self.inner.agents.get(caller, agent).await?;
        let name = format!(
            "runs {} {agent} {:?} {:?} {:?} {:?} {:?}",
            caller.org, query.state, query.stop_reason, query.version, query.from, query.to
        );
        let (limit, start) =
            self.inner
                .cursors
                .read(query.cursor.as_deref(), query.limit, &name)?;
        let filter = store::Filter {
            run: None,
            state: query.state,
            stop_reason: query.stop_reason,
            version: query.version,
            from: query.from,
            to: query.to,
        };
        let rows = store::list(
            &self.inner.db,
            (caller.org, agent),
            &filter,
            (start, limit + 1),
        )
        .await?;
        Ok(self.inner.cursors.page(rows, limit, &name, |run| {
            (
                Cursor {
                    at: run.created_at,
                    id: run.id.0,
                },
                run,
            )
        }))
    }

    /// A reader of the run's events after `seq`, live where the run is here.
    pub async fn stream(
        &self,
        caller: &Caller,
        agent: &str,
        run: RunId,
        seq: i32,
    ) -> Result<Stream> {
        if !self.exists(caller, agent, run).await? {
            return Err(Error::not_found("run"));
        }
        let live = self.inner.live.get(run);
        Ok(Stream::new(
            self.inner.db.clone(),
            (caller.org, run),
            seq,
            live.as_ref(),
        ))
    }

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
        let events =
            super::log::events_after(&self.inner.db, (caller.org, run), after, EVENTS_PAGE).await?;
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

    async fn steps(
        &self,
        caller: &Caller,
        agent: &str,
        run: RunId,
        after: i32,
    ) -> Result<Vec<StepView>> {
        if !self.exists(caller, agent, run).await? {
            return Err(Error::not_found("run"));
        }
        store::steps_after(&self.inner.db, (caller.org, run), (after, EVENTS_PAGE)).await
    }
}

fn wants_stream(headers: &HeaderMap) -> bool {
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

fn location(caller: &Caller, agent: &str, run: RunId) -> String {
    format!("/v1/orgs/{}/agents/{agent}/runs/{run}", caller.slug)
}

fn streamed(caller: &Caller, agent: &str, run: RunId, stream: Stream) -> Response {
    let mut response = event_stream(stream);
    if let Ok(value) = HeaderValue::try_from(location(caller, agent, run)) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    // A stream is not stored under an idempotency key: its repeat is streamed again.
    response.extensions_mut().insert(Replay);
    response
}

/// The events as SSE. The body is pulled by the connection, so a reader that does not read holds nothing but its
/// place.
fn event_stream(stream: Stream) -> Response {
    let frames = unfold((stream, true), |(mut stream, first)| async move {
        if first {
            return Some((Ok::<Bytes, Infallible>(sse::KEEP_ALIVE), (stream, false)));
        }
        let frame = match tokio::time::timeout(KEEP_ALIVE, stream.next_stored()).await {
            Err(_) => sse::KEEP_ALIVE,
            Ok(Ok(Some(event))) => sse::frame(event.seq, &event.kind, &event.data),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => {
                // The client resumes with the last id it has.
                tracing::warn!(%error, cause = error.chain(), "a stream was cut");
                return None;
            }
        };
        Some((Ok(frame), (stream, false)))
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
