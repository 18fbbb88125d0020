//! The routes of API keys.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Admin, Identity, Key, KeyId, NewKey};
use crate::kit::Result;
use crate::kit::http::{Body, Page, PageQuery, Params, Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(revoke))
}

/// A key just made: the only time its secret is seen.
#[derive(Serialize, ToSchema)]
struct CreatedKey {
    #[serde(flatten)]
    key: Key,
    /// Send it as `authorization: Bearer …`. It is not stored and cannot be shown again.
    secret: String,
}

#[derive(Deserialize)]
struct KeyPath {
    key: String,
}

/// Make an API key
#[utoipa::path(post, path = "/v1/orgs/{org}/keys", tag = "keys", request_body = NewKey,
    params(("org" = String, Path,)),
    responses((status = 201, body = CreatedKey), (status = "4XX", body = Problem)))]
async fn create(
    State(identity): State<Identity>,
    Admin(caller): Admin,
    Body(new): Body<NewKey>,
) -> Result<(StatusCode, Json<CreatedKey>)> {
    let (key, secret) = identity.create_key(&caller, new).await?;
    Ok((
        StatusCode::CREATED,
        Json(CreatedKey {
            key,
            secret: secret.expose().to_owned(),
        }),
    ))
}

/// List API keys
#[utoipa::path(get, path = "/v1/orgs/{org}/keys", tag = "keys", params(("org" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Key>), (status = "4XX", body = Problem)))]
async fn list(
    State(identity): State<Identity>,
    Admin(caller): Admin,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Key>>> {
    Ok(Json(identity.list_keys(&caller, &query).await?))
}

/// Revoke an API key
#[utoipa::path(delete, path = "/v1/orgs/{org}/keys/{key}", tag = "keys",
    params(("org" = String, Path,), ("key" = String, Path,)),
    responses((status = 200, body = Key), (status = "4XX", body = Problem)))]
async fn revoke(
    State(identity): State<Identity>,
    Admin(caller): Admin,
    Params(path): Params<KeyPath>,
) -> Result<Json<Key>> {
    let id: KeyId = path
        .key
        .parse()
        .map_err(|_| crate::kit::Error::not_found("key"))?;
    Ok(Json(identity.revoke_key(&caller, id).await?))
}
