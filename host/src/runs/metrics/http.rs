//! The routes of metrics.
#![expect(
    unused_qualifications,
    reason = "utoipa's macros qualify what they name"
)]

use axum::Json;
use axum::extract::{FromRef, State};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Metrics;
use crate::identity::{Identity, Read};
use crate::kit::Result;
use crate::kit::http::{Params, Problem, Query};
use crate::runs::Runs;

pub(in crate::runs) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Runs: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(of_organization))
        .routes(routes!(of_agent))
}

#[derive(Deserialize)]
struct AgentPath {
    agent: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct MetricsQuery {
    /// How many days of UTC, today included: 1 to 90, and 30 where absent.
    days: Option<u16>,
}

/// See how an organization's runs went
///
/// Counts, failures, latency, tokens and cost by day, and the agents most used and most failing.
#[utoipa::path(get, path = "/v1/orgs/{org}/agent-runs/metrics", tag = "runs",
    params(("org" = String, Path,), MetricsQuery),
    responses((status = 200, body = Metrics), (status = "4XX", body = Problem)))]
async fn of_organization(
    State(runs): State<Runs>,
    Read(caller): Read,
    Query(query): Query<MetricsQuery>,
) -> Result<Json<Metrics>> {
    Ok(Json(runs.metrics(&caller, None, query.days).await?))
}

/// See how an agent's runs went
///
/// The same of one agent, all its versions together.
#[utoipa::path(get, path = "/v1/orgs/{org}/agents/{agent}/metrics", tag = "runs",
    params(("org" = String, Path,), ("agent" = String, Path,), MetricsQuery),
    responses((status = 200, body = Metrics), (status = "4XX", body = Problem)))]
async fn of_agent(
    State(runs): State<Runs>,
    Read(caller): Read,
    Params(path): Params<AgentPath>,
    Query(query): Query<MetricsQuery>,
) -> Result<Json<Metrics>> {
    let metrics = runs.metrics(&caller, Some(&path.agent), query.days);
    Ok(Json(metrics.await?))
}
