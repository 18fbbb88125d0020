//! The nodes of a database as an operator sees them, read from the rows: for whoever holds the database.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;

use super::store;
use crate::kit::Result;
use crate::runs::NodeId;

/// One node.
#[derive(Debug, Serialize)]
pub struct NodeView {
    pub id: NodeId,
    pub name: String,
    /// Absent where its host is older than this column.
    pub version: Option<String>,
    /// The newest contract its guests may be written against.
    pub contract: Option<String>,
    pub address: Option<String>,
    /// ready, draining, dead or stopped.
    pub state: String,
    #[serde(with = "time::serde::rfc3339")]
    pub started_at: OffsetDateTime,
    pub heartbeat_age_ms: i64,
    /// Runs it owns that have not ended, by state.
    pub runs: BTreeMap<String, i64>,
    pub places: Option<i32>,
    /// Places for runs that were free at its last heartbeat; absent where it takes none.
    pub free: Option<i32>,
}

impl NodeView {
    /// Every node of the database, the newest last.
    pub async fn all(db: &PgPool) -> Result<Vec<Self>> {
        let rows = store::all(db).await?;
        rows.into_iter().map(Self::from_row).collect()
    }

    fn from_row(row: store::Row) -> Result<Self> {
        let runs = row.runs.as_deref().map(serde_json::from_str).transpose()?;
        Ok(Self {
            free: row.free.filter(|_| row.state == "ready"),
            id: row.id,
            name: row.name,
            version: row.version,
            contract: row.contract,
            address: row.address,
            state: row.state,
            started_at: row.started_at,
            heartbeat_age_ms: row.heartbeat_age_ms,
            runs: runs.unwrap_or_default(),
            places: row.places,
        })
    }
}
