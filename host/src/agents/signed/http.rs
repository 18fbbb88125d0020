//! The routes of publishers' keys and of what is asked of uploads.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{NewPublisher, Policy, Publisher};
use crate::agents::Agents;
use crate::identity::{Admin, Identity, Read};
use crate::kit::http::{Body, Page, PageQuery, Params, Problem, Query};
use crate::kit::{Error, Result};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Agents: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(add, list))
        .routes(routes!(revoke))
        .routes(routes!(policy, put_policy))
}

#[derive(Deserialize)]
struct PublisherPath {
    publisher: String,
}

/// Add a publisher's key
///
/// Versions that it signed may be uploaded. One that is there already stays as it is.
#[utoipa::path(post, path = "/v1/orgs/{org}/publisher-keys", tag = "publishers", request_body = NewPublisher,
    params(("org" = String, Path,)),
    responses((status = 201, body = Publisher), (status = 200, body = Publisher), (status = "4XX", body = Problem)))]
async fn add(
    State(agents): State<Agents>,
    Admin(caller): Admin,
    Body(new): Body<NewPublisher>,
) -> Result<(StatusCode, Json<Publisher>)> {
    let (publisher, is_new) = agents.add_publisher(&caller, new).await?;
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(publisher)))
}

/// List publishers' keys, newest first
#[utoipa::path(get, path = "/v1/orgs/{org}/publisher-keys", tag = "publishers",
    params(("org" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Publisher>), (status = "4XX", body = Problem)))]
async fn list(
    State(agents): State<Agents>,
    Read(caller): Read,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Publisher>>> {
    Ok(Json(agents.list_publishers(&caller, &query).await?))
}

/// Revoke a publisher's key
///
/// What it signed stays as it is; what it signs from now on is refused. A repeat changes nothing.
#[utoipa::path(delete, path = "/v1/orgs/{org}/publisher-keys/{publisher}", tag = "publishers",
    params(("org" = String, Path,), ("publisher" = String, Path,)),
    responses((status = 200, body = Publisher), (status = "4XX", body = Problem)))]
async fn revoke(
    State(agents): State<Agents>,
    Admin(caller): Admin,
    Params(path): Params<PublisherPath>,
) -> Result<Json<Publisher>> {
    let id = path.publisher.parse();
    let id = id.map_err(|_| Error::not_found("publisher key"))?;
    Ok(Json(agents.revoke_publisher(&caller, id).await?))
}

/// Show whether uploads must be signed
#[utoipa::path(get, path = "/v1/orgs/{org}/signature-policy", tag = "publishers", params(("org" = String, Path,)),
    responses((status = 200, body = Policy), (status = "4XX", body = Problem)))]
async fn policy(State(agents): State<Agents>, Read(caller): Read) -> Result<Json<Policy>> {
    Ok(Json(agents.signature_policy(&caller).await?))
}

/// Say whether uploads must be signed
#[utoipa::path(put, path = "/v1/orgs/{org}/signature-policy", tag = "publishers", request_body = Policy,
    params(("org" = String, Path,)),
    responses((status = 200, body = Policy), (status = "4XX", body = Problem)))]
async fn put_policy(
    State(agents): State<Agents>,
    Admin(caller): Admin,
    Body(to): Body<Policy>,
) -> Result<Json<Policy>> {
    Ok(Json(agents.put_signature_policy(&caller, to).await?))
}
