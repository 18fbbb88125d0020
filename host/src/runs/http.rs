//! The routes of runs.
#![expect(
    unused_qualifications,
    reason = "utoipa's macros qualify what they name"
)]

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::log::http::{event_stream, wants_stream};
use super::log::stream::{Source, Stream};
use super::start::{NewRun, Started};
use super::view::{RunView, Turn};
use super::{RunId, Runs, store};
use crate::identity::{Caller, Identity, Read, Run};
use crate::kit::http::idempotency::{Repeat, Replay};
use crate::kit::http::{Body, Cursor, Page, Params, Problem, Query};
use crate::kit::{Error, Result};

const WAIT_MAX_S: u64 = 60;
/// How many runs are told of as turns, at most, each time one looks.
const TURNS: i64 = 200;

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Runs: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .merge(super::log::http::router())
        .merge(super::metrics::http::router())
        .merge(super::replay::http::router())
}

#[derive(Deserialize)]
pub(super) struct AgentPath {
    pub(super) agent: String,
}

#[derive(Deserialize)]
pub(super) struct RunPath {
    pub(super) agent: String,
    run: String,
}

impl RunPath {
    pub(super) fn id(&self) -> Result<RunId> {
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
    (Params(path), Query(query), headers): (Params<AgentPath>, Query<CreateQuery>, HeaderMap),
    repeat: Repeat,
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
    let id = repeat.assigned;
    let made = match id.map(RunId) {
        Some(run) if repeat.stream || runs.exists(&caller, &path.agent, run).await? => Some(run),
        _ => None,
    };
    let stream = repeat.stream || wants_stream(&headers);
    let run = match made {
        // The first request made this run: show it again.
        Some(run) if stream => {
            let events = runs.stream(&caller, &path.agent, run, 0).await?;
            return Ok(runs.streamed(&caller, &path.agent, run, events));
        }
        Some(run) => run,
        None => {
            let Started { run, events, .. } = runs.start(&caller, &path.agent, new, id).await?;
            if stream {
                return Ok(runs.streamed(&caller, &path.agent, run, events));
            }
            run
        }
    };
    runs.shown(&caller, &path.agent, run, query.wait).await
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
        let mut run = found
            .into_iter()
            .next()
            .ok_or_else(|| Error::not_found("run"))?;
        run.show_cost(&self.inner.billing);
        // A run that is older than the sets is shown without.
        if run.limits_digest.is_some() {
            run.show_limits(&*self.inner.limits.of(run.limits_digest).await?);
        }
        Ok(run)
    }

    /// The answer to a start that is not a stream: 202, or 200 where it waited for the end and saw it.
    async fn shown(
        &self,
        caller: &Caller,
        agent: &str,
        run: RunId,
        wait: Option<u64>,
    ) -> Result<Response> {
        if let Some(wait) = wait {
            let wait = Duration::from_secs(wait);
            self.until_ended((caller.org, run), None, wait).await?;
        }
        let view = self.get(caller, agent, run).await?;
        let status = match wait.is_some() && view.ended_at.is_some() {
            true => StatusCode::OK,
            false => StatusCode::ACCEPTED,
        };
        let location = [(header::LOCATION, location(caller, agent, run))];
        Ok((status, location, Json(view)).into_response())
    }

    fn streamed(&self, caller: &Caller, agent: &str, run: RunId, stream: Stream) -> Response {
        let mut response = event_stream(stream, self.shutdown());
        if let Ok(value) = HeaderValue::try_from(location(caller, agent, run)) {
            response.headers_mut().insert(header::LOCATION, value);
        }
        // A stream is not stored under an idempotency key: its repeat is streamed again.
        response.extensions_mut().insert(Replay);
        response
    }

    pub(super) fn shutdown(&self) -> CancellationToken {
        self.inner.tasks.shutdown().clone()
    }

    pub(super) async fn exists(&self, caller: &Caller, agent: &str, run: RunId) -> Result<bool> {
        store::exists(&self.inner.db, (caller.org, agent, run)).await
    }

    /// The newest runs of all agents that have ended, newest first.
    pub async fn turns(&self, caller: &Caller) -> Result<Vec<Turn>> {
        store::turns(&self.inner.db, caller.org, TURNS).await
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
        let mut rows = store::list(
            &self.inner.db,
            (caller.org, agent),
            &filter,
            (start, limit + 1),
        )
        .await?;
        rows.iter_mut()
            .for_each(|run| run.show_cost(&self.inner.billing));
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

    /// Where logs are read from.
    pub(super) fn source(&self) -> Source {
        Source {
            db: self.inner.db.clone(),
            live: self.inner.live.clone(),
            announce: self.inner.announce.clone(),
            shutdown: self.inner.tasks.shutdown().clone(),
        }
    }

    /// A reader of the run's events after `seq`, wherever it runs.
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
        Ok(Stream::new(self.source(), (caller.org, run), seq))
    }
}

fn location(caller: &Caller, agent: &str, run: RunId) -> String {
    format!("/v1/orgs/{}/agents/{agent}/runs/{run}", caller.slug)
}
