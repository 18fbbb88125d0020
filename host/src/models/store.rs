//! The statements of model connections.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::{Connection, ConnectionId, Kind};
use crate::kit::error::{CONFLICT, OnConstraint as _};
use crate::kit::http::Cursor;
use crate::kit::{OrgId, Result};

pub(super) struct Row {
    pub(super) id: ConnectionId,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) base_url: Option<String>,
    pub(super) api_key_sealed: Option<Vec<u8>>,
    pub(super) default_model: String,
    pub(super) available_models: Vec<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
}

impl Row {
    pub(super) fn kind(&self) -> Kind {
        match self.kind.as_str() {
            "openai" => Kind::Openai,
            // The table's constraint knows no third kind.
            _ => Kind::Offline,
        }
    }

    /// What may be shown of it.
    pub(super) fn view(self) -> Connection {
        Connection {
            id: self.id,
            kind: self.kind(),
            name: self.name,
            base_url: self.base_url,
            has_api_key: self.api_key_sealed.is_some(),
            default_model: self.default_model,
            available_models: self.available_models,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

pub(super) async fn find(db: impl PgExecutor<'_>, org: OrgId, name: &str) -> Result<Option<Row>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: ConnectionId", name, kind, base_url, api_key_sealed, default_model, available_models,
             created_at, updated_at
           from model_connections where org_id = $1 and name = $2"#,
        org.0,
        name,
    )
    .fetch_optional(db)
    .await?;
    Ok(row)
}

pub(super) async fn find_for_update(
    tx: impl PgExecutor<'_>,
    org: OrgId,
    name: &str,
) -> Result<Option<Row>> {
    let row = sqlx::query_as!(
        Row,
        r#"select id as "id: ConnectionId", name, kind, base_url, api_key_sealed, default_model, available_models,
             created_at, updated_at
           from model_connections where org_id = $1 and name = $2 for update"#,
        org.0,
        name,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row)
}

pub(super) async fn insert(tx: impl PgExecutor<'_>, org: OrgId, row: &Row) -> Result<()> {
    sqlx::query!(
        "insert into model_connections (org_id, id, name, kind, base_url, api_key_sealed, default_model,
           available_models, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        org.0,
        row.id.0,
        row.name,
        row.kind,
        row.base_url,
        row.api_key_sealed,
        row.default_model,
        &row.available_models,
        row.created_at,
        row.updated_at,
    )
    .execute(tx)
    .await
    .on_constraint("model_connections_name_key", || {
        CONFLICT.because("The connection was made by another request at the same time; send this one again.")
    })?;
    Ok(())
}

pub(super) async fn update(tx: impl PgExecutor<'_>, org: OrgId, row: &Row) -> Result<()> {
    sqlx::query!(
        "update model_connections set kind = $3, base_url = $4, api_key_sealed = $5, default_model = $6,
           available_models = $7, updated_at = $8
         where org_id = $1 and id = $2",
        org.0,
        row.id.0,
        row.kind,
        row.base_url,
        row.api_key_sealed,
        row.default_model,
        &row.available_models,
        row.updated_at,
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn list(
    db: impl PgExecutor<'_>,
    org: OrgId,
    after: Option<Cursor>,
    limit: i64,
) -> Result<Vec<Row>> {
    let (at, id) = after.map(|cursor| (cursor.at, cursor.id)).unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id: ConnectionId", name, kind, base_url, api_key_sealed, default_model, available_models,
             created_at, updated_at
           from model_connections
           where org_id = $1 and ($2::timestamptz is null or (created_at, id) < ($2, $3::uuid))
           order by created_at desc, id desc limit $4"#,
        org.0,
        at,
        id,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(rows)
}

/// The names there are, for an error that says what could have been asked for.
pub(super) async fn names(db: impl PgExecutor<'_>, org: OrgId, limit: i64) -> Result<Vec<String>> {
    let names = sqlx::query_scalar!(
        "select name from model_connections where org_id = $1 order by name limit $2",
        org.0,
        limit,
    )
    .fetch_all(db)
    .await?;
    Ok(names)
}

pub(super) async fn delete(db: impl PgExecutor<'_>, org: OrgId, name: &str) -> Result<bool> {
    let done = sqlx::query!(
        "delete from model_connections where org_id = $1 and name = $2",
        org.0,
        name
    )
    .execute(db)
    .await?;
    Ok(done.rows_affected() > 0)
}
