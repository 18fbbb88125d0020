//! The routes of agents, versions and channels.

use axum::Json;
use axum::extract::{DefaultBodyLimit, FromRef, Request, State};
use axum::http::{StatusCode, header};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::upload::{Uploaded, too_large};
use super::{Agent, Agents, Version};
use crate::identity::{Deploy, Identity, Read};
use crate::kit::Result;
use crate::kit::error::{MEDIA, TOO_LARGE};
use crate::kit::http::body::collect;
use crate::kit::http::{Page, PageQuery, Params, Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Agents: FromRef<S>,
{
    // The upload bounds its own body by configuration, and answers 422 where the bound is passed.
    let upload = OpenApiRouter::new()
        .routes(routes!(upload, list_versions))
        .layer(DefaultBodyLimit::disable());
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(get_version))
        .merge(super::channels::http::router())
        .merge(super::kept::http::router())
        .merge(super::signed::http::router())
        .merge(upload)
}

/// The path of an agent, for all its routes.
#[derive(Deserialize)]
pub(super) struct AgentPath {
    pub(super) agent: String,
}

/// The path of one of its versions.
#[derive(Deserialize)]
pub(super) struct VersionPath {
    pub(super) agent: String,
    pub(super) version: i32,
}

/// List agents
#[utoipa::path(get, path = "/v1/orgs/{org}/agents", tag = "agents", params(("org" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Agent>), (status = "4XX", body = Problem)))]
async fn list(
    State(agents): State<Agents>,
    Read(caller): Read,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Agent>>> {
    Ok(Json(agents.list(&caller, &query).await?))
}

/// Show an agent
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,)),
    responses((status = 200, body = Agent), (status = "4XX", body = Problem)))]
async fn get(
    State(agents): State<Agents>,
    Read(caller): Read,
    Params(path): Params<AgentPath>,
) -> Result<Json<Agent>> {
    Ok(Json(agents.get(&caller, &path.agent).await?))
}

/// Upload a version
///
/// The body is the component. The same bytes again are answered with the version they are. A publisher's signature comes in
/// the header `x-bulkhead-signature`.
#[utoipa::path(post, path = "/v1/orgs/{org}/agents/{agent}/versions", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,)),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses((status = 201, body = Version), (status = 200, body = Version), (status = "4XX", body = Problem)))]
async fn upload(
    State(agents): State<Agents>,
    Deploy(caller): Deploy,
    Params(path): Params<AgentPath>,
    request: Request,
) -> Result<(StatusCode, Json<Version>)> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if kind != Some("application/wasm") {
        return Err(MEDIA.because("Send the component as `content-type: application/wasm`."));
    }
    let signature = request.headers().get(super::signed::HEADER);
    // What is no text is no signature either.
    let signature = signature.map(|value| value.to_str().unwrap_or_default().to_owned());
    let most = agents.component_bytes_max(&caller).await?;
    let bytes =
        collect(request.into_body(), most)
            .await
            .map_err(|error| match error.is(TOO_LARGE) {
                true => too_large(most as u64).caused_by(error),
                false => error,
            })?;
    let signature = signature.as_deref();
    Ok(
        match agents
            .upload(&caller, &path.agent, (bytes, signature))
            .await?
        {
            Uploaded::New(version) => (StatusCode::CREATED, Json(version)),
            Uploaded::Known(version) => (StatusCode::OK, Json(version)),
        },
    )
}

/// List an agent's versions, newest first
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/versions", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Version>), (status = "4XX", body = Problem)))]
async fn list_versions(
    State(agents): State<Agents>,
    Read(caller): Read,
    Params(path): Params<AgentPath>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Version>>> {
    Ok(Json(
        agents.list_versions(&caller, &path.agent, &query).await?,
    ))
}

/// Show a version
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/versions/{version}", tag = "agents",
    params(("org" = String, Path,), ("agent" = String, Path,), ("version" = i32, Path,)),
    responses((status = 200, body = Version), (status = "4XX", body = Problem)))]
async fn get_version(
    State(agents): State<Agents>,
    Read(caller): Read,
    Params(path): Params<VersionPath>,
) -> Result<Json<Version>> {
    Ok(Json(
        agents
            .get_version(&caller, &path.agent, path.version)
            .await?,
    ))
}
