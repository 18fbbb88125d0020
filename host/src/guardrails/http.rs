//! The routes of guardrails.
#![expect(
    unused_qualifications,
    reason = "utoipa's macros qualify what they name"
)]

use axum::Json;
use axum::extract::{FromRef, State};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Guardrails;
use super::check::{Check, Checked};
use super::violations::ViolationView;
use crate::identity::{Identity, Read};
use crate::kit::Result;
use crate::kit::http::{Body, Page, Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Guardrails: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(violations))
        .routes(routes!(check))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    pub(super) cursor: Option<String>,
    /// 1 to 200; 50 where absent.
    pub(super) limit: Option<u32>,
    pub(super) agent: Option<String>,
    pub(super) run: Option<String>,
    /// The guardrail's kind, such as max_tokens.
    pub(super) kind: Option<String>,
    /// refused, blocked, redacted or rewritten.
    pub(super) action: Option<String>,
    /// At or after, RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(super) from: Option<OffsetDateTime>,
    /// Before, RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(super) to: Option<OffsetDateTime>,
}

/// List what guardrails did, newest first
#[utoipa::path(get, path = "/v1/orgs/{org}/guardrails/violations", tag = "guardrails",
    params(("org" = String, Path,), ListQuery),
    responses((status = 200, body = Page<ViolationView>), (status = "4XX", body = Problem)))]
async fn violations(
    State(guardrails): State<Guardrails>,
    Read(caller): Read,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<ViolationView>>> {
    Ok(Json(guardrails.violations(&caller, query).await?))
}

/// Try guardrails on a text
///
/// Nothing is stored, started or counted. Strings that a deploy would refuse are refused here alike.
#[utoipa::path(post, path = "/v1/orgs/{org}/guardrails/check", tag = "guardrails",
    params(("org" = String, Path,)), request_body = Check,
    responses((status = 200, body = Checked), (status = "4XX", body = Problem)))]
async fn check(
    State(guardrails): State<Guardrails>,
    Read(_): Read,
    Body(check): Body<Check>,
) -> Result<Json<Checked>> {
    Ok(Json(guardrails.check(&check)?))
}
