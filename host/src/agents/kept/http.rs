//! The routes that change a version: its label, its end.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Labels;
use crate::agents::http::VersionPath;
use crate::agents::{Agents, Version};
use crate::identity::{Deploy, Identity};
use crate::kit::Result;
use crate::kit::http::{Body, Params, Problem};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Agents: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(label, delete))
}

/// Label a version
///
/// A label is a name beside the number; null takes it away.
#[utoipa::path(patch, path = "/v1/orgs/{org}/agents/{agent}/versions/{version}", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,), ("version" = i32, Path,)), request_body = Labels,
    responses((status = 200, body = Version), (status = "4XX", body = Problem)))]
async fn label(
    State(agents): State<Agents>,
    Deploy(caller): Deploy,
    Params(path): Params<VersionPath>,
    Body(to): Body<Labels>,
) -> Result<Json<Version>> {
    let which = (path.agent.as_str(), path.version);
    Ok(Json(agents.label(&caller, which, to).await?))
}

/// Delete a version
///
/// One that a channel or an open conversation uses is not deleted. Its number is not used again; the same bytes uploaded
/// again are this version again.
#[utoipa::path(delete, path = "/v1/orgs/{org}/agents/{agent}/versions/{version}", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,), ("version" = i32, Path,)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn delete(
    State(agents): State<Agents>,
    Deploy(caller): Deploy,
    Params(path): Params<VersionPath>,
) -> Result<StatusCode> {
    agents.delete(&caller, &path.agent, path.version).await?;
    Ok(StatusCode::NO_CONTENT)
}
