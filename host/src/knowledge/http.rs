//! The routes of knowledge.

use axum::Extension;
use axum::Json;
use axum::extract::{DefaultBodyLimit, FromRef, FromRequest as _, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Entry, EntryId, EntryWithContent, Hit, Knowledge, ListQuery, NewEntry, Put, Query as Question,
};
use crate::identity::{Deploy, Identity, Read};
use crate::kit::http::idempotency::Assigned;
use crate::kit::http::{Body, Page, Params, Problem, Query};
use crate::kit::{Error, Result};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Knowledge: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(put, list))
        .routes(routes!(get, delete))
        .routes(routes!(search))
}

/// The best passages, best first.
#[derive(Serialize, ToSchema)]
struct Hits {
    data: Vec<Hit>,
    /// How they were ranked: `lexical`, by their words.
    ranking: &'static str,
}

#[derive(Deserialize)]
struct EntryPath {
    entry: String,
}

impl EntryPath {
    fn id(&self) -> Result<EntryId> {
        self.entry.parse().map_err(|_| Error::not_found("entry"))
    }
}

/// Put an entry
///
/// The same source again replaces its entry; the same content again changes nothing.
#[utoipa::path(post, path = "/v1/orgs/{org}/knowledge/entries", tag = "knowledge", request_body = NewEntry,
    params(("org" = String, Path,)),
    responses((status = 201, description = "A new entry", body = Put),
        (status = 200, description = "It was there; `changed` says whether it is different now", body = Put),
        (status = "4XX", body = Problem)))]
async fn put(
    State(knowledge): State<Knowledge>,
    Deploy(caller): Deploy,
    assigned: Option<Extension<Assigned>>,
    mut request: Request,
) -> Result<(StatusCode, Json<Put>)> {
    DefaultBodyLimit::max(knowledge.config().body_bytes_max()).apply(&mut request);
    let Body(new) = Body::<NewEntry>::from_request(request, &()).await?;
    let assigned = assigned.map(|Extension(Assigned(id))| EntryId(id));
    let put = knowledge.put(&caller, assigned, new).await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(put)))
}

/// List entries
#[utoipa::path(get, path = "/v1/orgs/{org}/knowledge/entries", tag = "knowledge",
    params(("org" = String, Path,), ListQuery),
    responses((status = 200, body = Page<Entry>), (status = "4XX", body = Problem)))]
async fn list(
    State(knowledge): State<Knowledge>,
    Read(caller): Read,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<Entry>>> {
    Ok(Json(knowledge.list(&caller, &query).await?))
}

/// Get an entry with its content
#[utoipa::path(get, path = "/v1/orgs/{org}/knowledge/entries/{entry}", tag = "knowledge",
    params(("org" = String, Path,), ("entry" = String, Path,)),
    responses((status = 200, body = EntryWithContent), (status = "4XX", body = Problem)))]
async fn get(
    State(knowledge): State<Knowledge>,
    Read(caller): Read,
    Params(path): Params<EntryPath>,
) -> Result<Json<EntryWithContent>> {
    Ok(Json(knowledge.get(&caller, path.id()?).await?))
}

/// Delete an entry
#[utoipa::path(delete, path = "/v1/orgs/{org}/knowledge/entries/{entry}", tag = "knowledge",
    params(("org" = String, Path,), ("entry" = String, Path,)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn delete(
    State(knowledge): State<Knowledge>,
    Deploy(caller): Deploy,
    Params(path): Params<EntryPath>,
) -> Result<StatusCode> {
    knowledge.delete(&caller, path.id()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Search
#[utoipa::path(post, path = "/v1/orgs/{org}/knowledge/search", tag = "knowledge", request_body = Question,
    params(("org" = String, Path,)),
    responses((status = 200, body = Hits), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
async fn search(
    State(knowledge): State<Knowledge>,
    Read(caller): Read,
    Body(query): Body<Question>,
) -> Result<Json<Hits>> {
    let data = knowledge.search(caller.org, &query).await?;
    Ok(Json(Hits {
        data,
        ranking: "lexical",
    }))
}
