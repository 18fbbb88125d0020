//! The routes of webhooks.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::deliveries::{DeliveriesQuery, Delivery, Replay, Replayed};
use super::endpoints::{ChangeEndpoint, Endpoint, NewEndpoint, WithSecret};
use super::{EndpointId, Webhooks};
use crate::identity::{Admin, Identity, Read};
use crate::kit::http::idempotency::Repeat;
use crate::kit::http::{Body, Page, PageQuery, Params, Problem, Query};
use crate::kit::{Error, Result};
use crate::ledger::outbox::{EventId, Topic};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Webhooks: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(events))
        .routes(routes!(create, list))
        .routes(routes!(get, change, delete))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(replay))
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(redeliver))
}

/// An event of the catalogue.
#[derive(Serialize, ToSchema)]
struct CatalogueEvent {
    /// What an endpoint names in its `events`.
    name: &'static str,
    description: &'static str,
    /// Whether this host sends it; false where it may be subscribed to already, and comes with a later version.
    sent: bool,
}

/// The event catalogue.
#[derive(Serialize, ToSchema)]
struct Catalogue {
    data: Vec<CatalogueEvent>,
}

#[derive(Deserialize)]
struct EndpointPath {
    endpoint: String,
}

impl EndpointPath {
    fn id(&self) -> Result<EndpointId> {
        self.endpoint
            .parse()
            .map_err(|_| super::endpoints::unknown())
    }
}

#[derive(Deserialize)]
struct DeliveryPath {
    endpoint: String,
    event: String,
}

impl DeliveryPath {
    fn ids(&self) -> Result<(EndpointId, EventId)> {
        let endpoint = self.endpoint.parse();
        let event = self.event.parse();
        Ok((
            endpoint.map_err(|_| super::endpoints::unknown())?,
            event.map_err(|_| Error::not_found("delivery"))?,
        ))
    }
}

/// List the events there are
#[utoipa::path(get, path = "/v1/orgs/{org}/webhook-events", tag = "webhooks", params(("org" = String, Path,)),
    responses((status = 200, body = Catalogue), (status = "4XX", body = Problem)))]
async fn events(Read(_): Read) -> Json<Catalogue> {
    let data = Topic::ALL.iter().map(|topic| CatalogueEvent {
        name: topic.name(),
        description: topic.about(),
        sent: !topic.is_reserved(),
    });
    Json(Catalogue {
        data: data.collect(),
    })
}

/// Make a webhook endpoint
///
/// The answer holds its signing secret, which is not shown again.
#[utoipa::path(post, path = "/v1/orgs/{org}/webhook-endpoints", tag = "webhooks", request_body = NewEndpoint,
    params(("org" = String, Path,)),
    responses((status = 201, body = WithSecret), (status = "4XX", body = Problem)))]
async fn create(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    repeat: Repeat,
    Body(new): Body<NewEndpoint>,
) -> Result<(StatusCode, Json<WithSecret>)> {
    let id = repeat.assigned.map(EndpointId);
    let made = webhooks.create_endpoint(&caller, id, new).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// List webhook endpoints
#[utoipa::path(get, path = "/v1/orgs/{org}/webhook-endpoints", tag = "webhooks",
    params(("org" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Endpoint>), (status = "4XX", body = Problem)))]
async fn list(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Endpoint>>> {
    Ok(Json(webhooks.list_endpoints(&caller, &query).await?))
}

/// See a webhook endpoint
#[utoipa::path(get, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}", tag = "webhooks",
    params(("org" = String, Path,), ("endpoint" = String, Path,)),
    responses((status = 200, body = Endpoint), (status = "4XX", body = Problem)))]
async fn get(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<EndpointPath>,
) -> Result<Json<Endpoint>> {
    Ok(Json(webhooks.get_endpoint(&caller, path.id()?).await?))
}

/// Change a webhook endpoint, stop it, or enable it again
#[utoipa::path(patch, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}", tag = "webhooks", request_body = ChangeEndpoint,
    params(("org" = String, Path,), ("endpoint" = String, Path,)),
    responses((status = 200, body = Endpoint), (status = "4XX", body = Problem)))]
async fn change(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<EndpointPath>,
    Body(change): Body<ChangeEndpoint>,
) -> Result<Json<Endpoint>> {
    let id = path.id()?;
    Ok(Json(webhooks.change_endpoint(&caller, id, change).await?))
}

/// Delete a webhook endpoint and its deliveries
#[utoipa::path(delete, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}", tag = "webhooks",
    params(("org" = String, Path,), ("endpoint" = String, Path,)),
    responses((status = 204), (status = "4XX", body = Problem)))]
async fn delete(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<EndpointPath>,
) -> Result<StatusCode> {
    webhooks.delete_endpoint(&caller, path.id()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a new signing secret
///
/// Deliveries carry the signatures of both secrets for 24 hours.
#[utoipa::path(post, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}/rotate-secret", tag = "webhooks",
    params(("org" = String, Path,), ("endpoint" = String, Path,)),
    responses((status = 200, body = WithSecret), (status = "4XX", body = Problem)))]
async fn rotate(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<EndpointPath>,
) -> Result<Json<WithSecret>> {
    Ok(Json(webhooks.rotate_secret(&caller, path.id()?).await?))
}

/// Send a test event
#[utoipa::path(post, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}/test", tag = "webhooks",
    params(("org" = String, Path,), ("endpoint" = String, Path,)),
    responses((status = 202, body = Delivery), (status = "4XX", body = Problem)))]
async fn test(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<EndpointPath>,
) -> Result<(StatusCode, Json<Delivery>)> {
    let sent = webhooks.test_endpoint(&caller, path.id()?).await?;
    Ok((StatusCode::ACCEPTED, Json(sent)))
}

/// Send again what happened since a time
#[utoipa::path(post, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}/replay", tag = "webhooks", request_body = Replay,
    params(("org" = String, Path,), ("endpoint" = String, Path,)),
    responses((status = 202, body = Replayed), (status = "4XX", body = Problem)))]
async fn replay(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<EndpointPath>,
    Body(replay): Body<Replay>,
) -> Result<(StatusCode, Json<Replayed>)> {
    let replayed = webhooks.replay(&caller, path.id()?, &replay).await?;
    Ok((StatusCode::ACCEPTED, Json(replayed)))
}

/// List an endpoint's deliveries
#[utoipa::path(get, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}/deliveries", tag = "webhooks",
    params(("org" = String, Path,), ("endpoint" = String, Path,), DeliveriesQuery),
    responses((status = 200, body = Page<Delivery>), (status = "4XX", body = Problem)))]
async fn deliveries(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<EndpointPath>,
    Query(query): Query<DeliveriesQuery>,
) -> Result<Json<Page<Delivery>>> {
    let id = path.id()?;
    Ok(Json(webhooks.list_deliveries(&caller, id, &query).await?))
}

/// See a delivery
#[utoipa::path(get, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}/deliveries/{event}", tag = "webhooks",
    params(("org" = String, Path,), ("endpoint" = String, Path,), ("event" = String, Path,)),
    responses((status = 200, body = Delivery), (status = "4XX", body = Problem)))]
async fn delivery(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<DeliveryPath>,
) -> Result<Json<Delivery>> {
    let (endpoint, event) = path.ids()?;
    Ok(Json(webhooks.get_delivery(&caller, endpoint, event).await?))
}

/// Send a delivery again
#[utoipa::path(post, path = "/v1/orgs/{org}/webhook-endpoints/{endpoint}/deliveries/{event}/redeliver", tag = "webhooks",
    params(("org" = String, Path,), ("endpoint" = String, Path,), ("event" = String, Path,)),
    responses((status = 202, body = Delivery), (status = "4XX", body = Problem)))]
async fn redeliver(
    State(webhooks): State<Webhooks>,
    Admin(caller): Admin,
    Params(path): Params<DeliveryPath>,
) -> Result<(StatusCode, Json<Delivery>)> {
    let (endpoint, event) = path.ids()?;
    let again = webhooks.redeliver(&caller, endpoint, event).await?;
    Ok((StatusCode::ACCEPTED, Json(again)))
}
