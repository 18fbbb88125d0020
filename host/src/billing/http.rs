//! The routes of usage.
#![expect(
    unused_qualifications,
    reason = "utoipa's macros qualify what they name"
)]

use axum::Json;
use axum::extract::{FromRef, Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Billing;
use super::charge::Reconciled;
use super::usage::{Group, Report};
use crate::identity::{Identity, Read};
use crate::kit::Result;
use crate::kit::error::TOO_LARGE;
use crate::kit::http::body::read_bytes;
use crate::kit::http::{Page, PageQuery, Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Billing: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(export))
        .routes(routes!(reconciliation))
        .routes(routes!(stripe_event))
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

/// See what could not be reported
///
/// Rows of usage that the payment provider refused, that are too old for it, or of which nobody knows whether they
/// arrived: the operator settles them. Newest first; empty where the host charges through no provider.
#[utoipa::path(get, path = "/v1/orgs/{org}/usage/reconciliation", tag = "usage",
    params(("org" = String, Path,), PageQuery),
    responses((status = 200, body = Page<Reconciled>), (status = "4XX", body = Problem)))]
async fn reconciliation(
    State(billing): State<Billing>,
    Read(caller): Read,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Reconciled>>> {
    Ok(Json(billing.to_reconcile(&caller, &query).await?))
}

/// That it was heard.
#[derive(Debug, Serialize, ToSchema)]
struct Heard {
    /// Whether it changed anything.
    changed: bool,
}

/// The largest event that is read.
const EVENT_BYTES_MAX: usize = 512 << 10;

/// Tell of a subscription
///
/// For Stripe only: the body is an event of its own, signed with the webhook secret of the configuration.
#[utoipa::path(post, path = "/stripe/webhook", tag = "usage", security(()), request_body = Object,
    responses((status = 200, body = Heard), (status = "4XX", body = Problem)))]
async fn stripe_event(State(billing): State<Billing>, request: Request) -> Result<Json<Heard>> {
    let header = request.headers().get("stripe-signature");
    let header = header.and_then(|value| value.to_str().ok());
    let signature = header.unwrap_or_default().to_owned();
    let body = read_bytes(request, &()).await?;
    if body.len() > EVENT_BYTES_MAX {
        return Err(TOO_LARGE.because("An event of Stripe's has at most 512 KiB."));
    }
    let changed = billing.hear(&signature, &body).await?;
    Ok(Json(Heard { changed }))
}
