//! The routes of channels.

use axum::Json;
use axum::extract::{FromRef, State};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::show::ChannelMove;
use super::{Channels, Diff, MoveCanary, MoveChannel, Rollback};
use crate::agents::http::{AgentPath, VersionPath};
use crate::agents::{Agent, Agents};
use crate::identity::{Deploy, Identity, Read};
use crate::kit::Result;
use crate::kit::http::{Body, Page, PageQuery, Params, Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Agents: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(show))
        .routes(routes!(history))
        .routes(routes!(make_stable))
        .routes(routes!(promote))
        .routes(routes!(canary))
        .routes(routes!(rollback))
        .routes(routes!(diff))
}

/// Show where an agent's channels point
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/channels", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,)),
    responses((status = 200, body = Channels), (status = "4XX", body = Problem)))]
async fn show(
    State(agents): State<Agents>,
    Read(caller): Read,
    Params(path): Params<AgentPath>,
) -> Result<Json<Channels>> {
    Ok(Json(agents.channels(&caller, &path.agent).await?))
}

/// List the moves of an agent's channels, newest first
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/channels/history", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,), PageQuery),
    responses((status = 200, body = Page<ChannelMove>), (status = "4XX", body = Problem)))]
async fn history(
    State(agents): State<Agents>,
    Read(caller): Read,
    Params(path): Params<AgentPath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<ChannelMove>>> {
    let history = agents.channel_history(&caller, &path.agent, &query);
    Ok(Json(history.await?))
}

/// Point the stable channel at a version
///
/// The same as to promote it; answers the agent.
#[utoipa::path(put, path = "/v1/orgs/{org}/agents/{agent}/channels/stable", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,)), request_body = MoveChannel,
    responses((status = 200, body = Agent), (status = "4XX", body = Problem)))]
async fn make_stable(
    State(agents): State<Agents>,
    Deploy(caller): Deploy,
    Params(path): Params<AgentPath>,
    Body(to): Body<MoveChannel>,
) -> Result<Json<Agent>> {
    agents.promote(&caller, &path.agent, &to).await?;
    Ok(Json(agents.get(&caller, &path.agent).await?))
}

/// Promote a version: new conversations and runs take it
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/promote", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,)), request_body = MoveChannel,
    responses((status = 200, body = Channels), (status = "4XX", body = Problem)))]
async fn promote(
    State(agents): State<Agents>,
    Deploy(caller): Deploy,
    Params(path): Params<AgentPath>,
    Body(to): Body<MoveChannel>,
) -> Result<Json<Channels>> {
    Ok(Json(agents.promote(&caller, &path.agent, &to).await?))
}

/// Make a version the canary: a part of new conversations and runs takes it
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/canary", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,)), request_body = MoveCanary,
    responses((status = 200, body = Channels), (status = "4XX", body = Problem)))]
async fn canary(
    State(agents): State<Agents>,
    Deploy(caller): Deploy,
    Params(path): Params<AgentPath>,
    Body(to): Body<MoveCanary>,
) -> Result<Json<Channels>> {
    Ok(Json(agents.canary(&caller, &path.agent, &to).await?))
}

/// Go back to the version that was stable before, or end the canary
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/rollback", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,)), request_body = Rollback,
    responses((status = 200, body = Channels), (status = "4XX", body = Problem)))]
async fn rollback(
    State(agents): State<Agents>,
    Deploy(caller): Deploy,
    Params(path): Params<AgentPath>,
    Body(what): Body<Rollback>,
) -> Result<Json<Channels>> {
    Ok(Json(agents.rollback(&caller, &path.agent, &what).await?))
}

/// Show what a version asks for beyond the stable one
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/versions/{version}/diff", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,), ("version" = i32, Path,)),
    responses((status = 200, body = Diff), (status = "4XX", body = Problem)))]
async fn diff(
    State(agents): State<Agents>,
    Read(caller): Read,
    Params(path): Params<VersionPath>,
) -> Result<Json<Diff>> {
    let diff = agents.diff(&caller, &path.agent, path.version);
    Ok(Json(diff.await?))
}
