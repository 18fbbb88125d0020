//! The routes of the audit log. Whoever may read may read it; there is no route that changes it.

use axum::Json;
use axum::extract::{FromRef, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Audit;
use super::list::{AuditEntry, ListQuery, Narrowed};
use crate::identity::{Identity, Read};
use crate::kit::Result;
use crate::kit::http::{Page, Params, Problem, Query};

pub fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Identity: FromRef<S>,
    Audit: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(keys))
        .routes(routes!(chain))
        .routes(routes!(list))
        .routes(routes!(csv))
}

#[derive(Deserialize)]
struct SourcePath {
    source: String,
}

/// The keys that sign, oldest first.
#[derive(Serialize, ToSchema)]
struct AuditKeys {
    data: Vec<AuditKey>,
}

/// A key that signs checkpoints and exports.
#[derive(Serialize, ToSchema)]
struct AuditKey {
    id: String,
    /// `ed25519`.
    algorithm: &'static str,
    /// 64 hexadecimal digits. Keep it elsewhere: `bulkhead audit verify --public-key` takes it.
    public_key: String,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    /// Whether this host signs with it.
    current: bool,
}

/// List an audit log, newest first
///
/// `source` is `actions`, `provisioning`, `deliveries`, `tools` or `egress`.
#[utoipa::path(get, path = "/v1/orgs/{org}/audit/{source}", tag = "audit",
    params(("org" = String, Path,), ("source" = String, Path,), ListQuery),
    responses((status = 200, body = Page<AuditEntry>), (status = "4XX", body = Problem)))]
async fn list(
    State(audit): State<Audit>,
    Read(caller): Read,
    Params(path): Params<SourcePath>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<AuditEntry>>> {
    Ok(Json(audit.list(&caller, &path.source, query).await?))
}

/// Export an audit log as CSV, newest first
#[utoipa::path(get, path = "/v1/orgs/{org}/audit/{source}/export.csv", tag = "audit",
    params(("org" = String, Path,), ("source" = String, Path,), Narrowed),
    responses((status = 200, body = String, content_type = "text/csv"), (status = "4XX", body = Problem)))]
async fn csv(
    State(audit): State<Audit>,
    Read(caller): Read,
    Params(path): Params<SourcePath>,
    Query(narrowed): Query<Narrowed>,
) -> Result<Response> {
    let body = audit.csv(&caller, &path.source, &narrowed)?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit.csv\"",
        ),
    ];
    Ok((headers, body).into_response())
}

/// Export the whole chain, for `bulkhead audit verify`
///
/// Every row of every source in order, with the checkpoints, closed by a signature over all of it: JSON lines.
#[utoipa::path(get, path = "/v1/orgs/{org}/audit/export.jsonl", tag = "audit",
    params(("org" = String, Path,)),
    responses((status = 200, body = String, content_type = "application/jsonl"), (status = "4XX", body = Problem)))]
async fn chain(State(audit): State<Audit>, Read(caller): Read) -> Result<Response> {
    let body = audit.chain(&caller).await?;
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], body).into_response())
}

/// List the public keys that sign
#[utoipa::path(get, path = "/v1/orgs/{org}/audit/keys", tag = "audit", params(("org" = String, Path,)),
    responses((status = 200, body = AuditKeys), (status = "4XX", body = Problem)))]
async fn keys(State(audit): State<Audit>, Read(_): Read) -> Result<Json<AuditKeys>> {
    let inner = &audit.inner;
    let keys = crate::ledger::audit::public_keys(&inner.base.db).await?;
    let data = keys.into_iter().map(|(id, public, created_at)| AuditKey {
        current: id == inner.signer.id,
        id,
        algorithm: "ed25519",
        public_key: hex::encode(public),
        created_at,
    });
    Ok(Json(AuditKeys {
        data: data.collect(),
    }))
}
