//! The routes of every room behind one stack of layers, the health of the host, and its OpenAPI description.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router, middleware};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, SecurityRequirement};
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::kit::Error;
use crate::kit::db::{self, Schema};
use crate::kit::error::{METHOD, NOT_FOUND};
use crate::kit::http::{Problem, idempotency, incoming, request};
use crate::{
    agents, audit, billing, conversations, guardrails, identity, knowledge, limits, models, runs,
    webhooks,
};

/// How long the database may take to answer a health check.
const DATABASE_WITHIN: Duration = Duration::from_secs(3);

#[derive(utoipa::OpenApi)]
struct Description;

/// Every route of the host, with its description.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(livez))
        .routes(routes!(readyz))
        .routes(routes!(openapi_json))
        .merge(identity::http::router())
        .merge(audit::http::router())
        .merge(limits::http::router())
        .merge(billing::http::router())
        .merge(agents::http::router())
        .merge(conversations::http::router())
        .merge(models::http::router())
        .merge(knowledge::http::router())
        .merge(guardrails::http::router())
        .merge(runs::http::router())
        .merge(webhooks::http::router())
}

/// The description at `/openapi.json`.
pub fn openapi() -> OpenApi {
    let mut openapi = routes().split_for_parts().1;
    openapi.info = Info::new("Bulkhead", env!("CARGO_PKG_VERSION"));
    openapi.info.description = Some("Runs AI agents that nobody has to trust.".to_owned());
    let components = openapi.components.get_or_insert_with(Components::new);
    components.add_security_scheme(
        "key",
        SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
    );
    openapi.security = Some(vec![SecurityRequirement::new("key", Vec::<String>::new())]);
    openapi
}

/// The service. Layers from the outside in: the request's id, panics, how bodies come in, the body's limit,
/// refusals, idempotency.
pub fn router(app: App) -> Router {
    routes()
        .split_for_parts()
        .0
        .fallback(|| async {
            NOT_FOUND.because("There is no such route; /openapi.json lists them.")
        })
        .method_not_allowed_fallback(|| async {
            METHOD
                .because("This route does not take this method; /openapi.json lists what it takes.")
        })
        .layer(middleware::from_fn_with_state(
            app.idempotency.clone(),
            idempotency::remember,
        ))
        .layer(middleware::from_fn_with_state(
            app.refusals.clone(),
            audit::refusals::watch,
        ))
        .layer(DefaultBodyLimit::max(app.config.body_bytes))
        .layer(middleware::from_fn_with_state(
            Duration::from_millis(app.config.body_idle_ms),
            incoming::receive,
        ))
        .layer(CatchPanicLayer::custom(request::panicked))
        .layer(middleware::from_fn_with_state(
            (app.ids.clone(), app.tracing.clone()),
            request::identify,
        ))
        .with_state(app)
}

#[derive(Serialize, ToSchema)]
struct Health {
    status: &'static str,
}

/// Whether the process answers
#[utoipa::path(get, path = "/livez", tag = "health", security(()), responses((status = 200, body = Health)))]
async fn livez() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// Whether the host takes work
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Health), (status = 503, body = Problem)))]
async fn readyz(State(app): State<App>) -> Response {
    let reasons = unready(&app).await;
    if reasons.is_empty() {
        return Json(Health { status: "ready" }).into_response();
    }
    Error::unavailable(reasons.join(" ")).into_response()
}

/// Why the host takes no work, a sentence each.
async fn unready(app: &App) -> Vec<String> {
    let mut reasons = Vec::new();
    if *app.draining.borrow() {
        reasons.push("The host is draining.".to_owned());
    }
    match tokio::time::timeout(DATABASE_WITHIN, db::schema(&app.db)).await {
        Ok(Ok(Schema::Usable)) => {}
        Ok(Ok(Schema::Behind)) => {
            reasons.push("The database lacks migrations of this host.".to_owned());
        }
        Ok(Ok(Schema::Foreign(version))) => reasons.push(format!(
            "Migration {version} of the database differs from this host's."
        )),
        Ok(Err(_)) | Err(_) => reasons.push("The database does not answer.".to_owned()),
    }
    if app.runs.lease_lost() {
        reasons.push("The host's heartbeat was not written: others take it for dead.".to_owned());
    }
    reasons
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "health", security(()), responses((status = 200, body = Object)))]
async fn openapi_json() -> Json<OpenApi> {
    Json(openapi())
}
