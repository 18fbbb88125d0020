//! The routes of model connections.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Connection, Models, PutConnection};
use crate::identity::{Admin, Identity};
use crate::kit::Result;
use crate::kit::http::{Body, Page, PageQuery, Params, Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Models: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(put, get, delete))
}

#[derive(Deserialize)]
struct ConnectionPath {
    name: String,
}

/// Make or replace a model connection
#[utoipa::path(put, path = "/v1/orgs/{org}/model-connections/{name}", tag = "models", request_body = PutConnection,
    params(("org" = String, Path,), ("name" = String, Path,)),
    responses((status = 200, body = Connection), (status = 201, body = Connection), (status = "4XX", body = Problem)))]
async fn put(
    State(models): State<Models>,
    Admin(caller): Admin,
    Params(path): Params<ConnectionPath>,
    Body(put): Body<PutConnection>,
) -> Result<(StatusCode, Json<Connection>)> {
    let (connection, is_new) = models.put_connection(&caller, &path.name, put).await?;
    let status = match is_new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    Ok((status, Json(connection)))
}

/// See a model connection
#[utoipa::path(get, path = "/v1/orgs/{org}/model-connections/{name}", tag = "models",
    params(("org" = String, Path,), ("name" = String, Path,)),
    responses((status = 200, body = Connection), (status = "4XX", body = Problem)))]
async fn get(
    State(models): State<Models>,
    Admin(caller): Admin,
    Params(path): Params<ConnectionPath>,
) -> Result<Json<Connection>> {
    Ok(Json(models.get_connection(&caller, &path.name).await?))
}

/// List model connections
#[utoipa::path(get, path = "/v1/orgs/{org}/model-connections", tag = "models",
    params(("org" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Connection>), (status = "4XX", body = Problem)))]
async fn list(
    State(models): State<Models>,
    Admin(caller): Admin,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Connection>>> {
    Ok(Json(models.list_connections(&caller, &query).await?))
}

/// Delete a model connection
#[utoipa::path(delete, path = "/v1/orgs/{org}/model-connections/{name}", tag = "models",
    params(("org" = String, Path,), ("name" = String, Path,)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn delete(
    State(models): State<Models>,
    Admin(caller): Admin,
    Params(path): Params<ConnectionPath>,
) -> Result<StatusCode> {
    models.delete_connection(&caller, &path.name).await?;
    Ok(StatusCode::NO_CONTENT)
}
