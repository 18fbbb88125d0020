//! The routes of replays: here, and anywhere by a recording.

use axum::Json;
use axum::extract::{FromRef, State};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Recording, Report, Summary};
use crate::identity::{Identity, Read, Run};
use crate::kit::Result;
use crate::kit::http::{Body, Params, Problem};
use crate::runs::Runs;
use crate::runs::http::{AgentPath, RunPath};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Runs: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(replay))
        .routes(routes!(recording))
        .routes(routes!(replay_last))
}

/// What to replay a run on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewReplay {
    /// A number of the agent's versions; the run's own where absent.
    version: Option<i32>,
}

/// Which runs to replay, and on what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewReplays {
    /// A number of the agent's versions.
    version: i32,
    /// How many of the newest runs of the stable version, from 1 on.
    last: i64,
}

/// Replay a run
///
/// Runs it again against its journal, with no effects and no writes, on its own version or on another one, and
/// reports what differs. What is not recorded stops the replay there.
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/runs/{run}/replay", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), ("run" = String, Path,)), request_body = NewReplay,
    responses((status = 200, body = Report), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn replay(
    State(runs): State<Runs>,
    Run(caller): Run,
    Params(path): Params<RunPath>,
    Body(new): Body<NewReplay>,
) -> Result<Json<Report>> {
    let run = (&*path.agent, path.id()?);
    Ok(Json(runs.replay(&caller, run, new.version).await?))
}

/// Record a run
///
/// What an ended run was asked, was answered and said, as a file that the SDK replays natively; without credentials,
/// and with what the version's guardrails take out. At most 1,000 steps and 4 MiB.
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/runs/{run}/recording", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), ("run" = String, Path,)),
    responses((status = 200, body = Recording), (status = "4XX", body = Problem)))]
async fn recording(
    State(runs): State<Runs>,
    Read(caller): Read,
    Params(path): Params<RunPath>,
) -> Result<Json<Recording>> {
    let run = (&*path.agent, path.id()?);
    Ok(Json(runs.recording(&caller, run).await?))
}

/// Replay the last runs of the stable version on another one
///
/// What promoting it would change: how many runs are the same, in what the others differ, the worst of them, and those
/// that could not be compared. No effects, no writes; closing the connection stops it.
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/replay", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,)), request_body = NewReplays,
    responses((status = 200, body = Summary), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn replay_last(
    State(runs): State<Runs>,
    Run(caller): Run,
    Params(path): Params<AgentPath>,
    Body(new): Body<NewReplays>,
) -> Result<Json<Summary>> {
    let asked = (new.version, new.last);
    Ok(Json(runs.replay_last(&caller, &path.agent, asked).await?))
}
