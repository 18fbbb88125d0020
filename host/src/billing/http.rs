//! The routes of usage.
#![expect(
    unused_qualifications,
    reason = "utoipa's macros qualify what they name"
)]

use axum::Json;
use axum::extract::{FromRef, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Billing;
use super::usage::{Group, Report};
use crate::identity::{Identity, Read};
use crate::kit::Result;
use crate::kit::http::{Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Billing: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(export))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct UsageQuery {
    /// A month of UTC, such as `2026-11`; the current one where absent.
    period: Option<String>,
    /// `day`, `agent`, `version` or `model`; `day` where absent.
    #[param(inline)]
    group: Option<Group>,
}

/// See what an organization used
///
/// A month of it, with what it cost and what is left of its caps. Runs count in the month they end in.
#[utoipa::path(get, path = "/v1/orgs/{org}/usage", tag = "usage", params(("org" = String, Path,), UsageQuery),
    responses((status = 200, body = Report), (status = "4XX", body = Problem)))]
async fn usage(
    State(billing): State<Billing>,
    Read(caller): Read,
    Query(query): Query<UsageQuery>,
) -> Result<Json<Report>> {
    let report = billing.report(
        &caller,
        query.period.as_deref(),
        query.group.unwrap_or_default(),
    );
    Ok(Json(report.await?))
}

/// Export what an organization used
///
/// The lines of the same, as CSV (RFC 4180).
#[utoipa::path(get, path = "/v1/orgs/{org}/usage/export.csv", tag = "usage",
    params(("org" = String, Path,), UsageQuery),
    responses((status = 200, body = String, content_type = "text/csv"), (status = "4XX", body = Problem)))]
async fn export(
    State(billing): State<Billing>,
    Read(caller): Read,
    Query(query): Query<UsageQuery>,
) -> Result<Response> {
    let report = billing
        .report(
            &caller,
            query.period.as_deref(),
            query.group.unwrap_or_default(),
        )
        .await?;
    report.csv()
}
