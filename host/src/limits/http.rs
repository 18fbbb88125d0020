//! The routes of limits.

use axum::Json;
use axum::extract::{FromRef, State};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::put::Shown;
use super::{Each, Limits, LimitsGiven};
use crate::identity::{Admin, Identity, Read};
use crate::kit::Result;
use crate::kit::http::{Body, Params, Problem};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Limits: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(of_org, put_of_org))
        .routes(routes!(of_version, put_of_version))
}

#[derive(Deserialize)]
struct VersionPath {
    agent: String,
    version: i32,
}

/// See an organization's limits
///
/// Each with its value, where that comes from, and the most it may be set to.
#[utoipa::path(get, path = "/v1/orgs/{org}/limits", tag = "limits", params(("org" = String, Path,)),
    responses((status = 200, body = Each<Shown>), (status = "4XX", body = Problem)))]
async fn of_org(State(limits): State<Limits>, Read(caller): Read) -> Result<Json<Each<Shown>>> {
    Ok(Json(limits.of_org(&caller).await?))
}

/// Set an organization's limits
///
/// Replaces what was set before: what is absent or null is the host's again.
#[utoipa::path(put, path = "/v1/orgs/{org}/limits", tag = "limits", params(("org" = String, Path,)),
    request_body = LimitsGiven,
    responses((status = 200, body = Each<Shown>), (status = "4XX", body = Problem)))]
async fn put_of_org(
    State(limits): State<Limits>,
    Admin(caller): Admin,
    Body(asked): Body<Each<Option<u64>>>,
) -> Result<Json<Each<Shown>>> {
    Ok(Json(limits.put_of_org(&caller, &asked).await?))
}

/// See a version's limits
///
/// Each with its value, where that comes from, and the most it may be set to, which is what the organization has.
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/versions/{version}/limits", tag = "limits",
    params(("org" = String, Path,), ("agent" = String, Path,), ("version" = i32, Path,)),
    responses((status = 200, body = Each<Shown>), (status = "4XX", body = Problem)))]
async fn of_version(
    State(limits): State<Limits>,
    Read(caller): Read,
    Params(path): Params<VersionPath>,
) -> Result<Json<Each<Shown>>> {
    let version = (path.agent.as_str(), path.version);
    Ok(Json(limits.of_version(&caller, version).await?))
}

/// Set a version's limits
///
/// Replaces what was set before: what is absent or null is the organization's again.
#[utoipa::path(put, path = "/v1/orgs/{org}/agents/{agent}/versions/{version}/limits", tag = "limits",
    params(("org" = String, Path,), ("agent" = String, Path,), ("version" = i32, Path,)),
    request_body = LimitsGiven,
    responses((status = 200, body = Each<Shown>), (status = "4XX", body = Problem)))]
async fn put_of_version(
    State(limits): State<Limits>,
    Admin(caller): Admin,
    Params(path): Params<VersionPath>,
    Body(asked): Body<Each<Option<u64>>>,
) -> Result<Json<Each<Shown>>> {
    let version = (path.agent.as_str(), path.version);
    Ok(Json(limits.put_of_version(&caller, version, &asked).await?))
}
