//! Reading the chain in its order: rows by number, heads, checkpoints and the public keys. Called by `audit` for exports
//! and checkpoints, and by the invariants.

use sqlx::PgExecutor;
use time::OffsetDateTime;

use super::chain::{Hash, Row};
use super::checkpoint::micros;
use super::{Checkpoint, store};
use crate::kit::{Error, OrgId, Result};

/// A row as it is stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub org_id: OrgId,
    pub seq: i64,
    pub source: String,
    pub at: OffsetDateTime,
    pub actor: String,
    pub actor_id: String,
    pub action: String,
    pub target: String,
    pub target_id: String,
    pub changed: Vec<String>,
    pub status: String,
    pub code: Option<String>,
    pub request_id: Option<String>,
    pub ip: Option<String>,
    /// The JSON text, to the byte.
    pub detail: Option<String>,
    pub hash: Vec<u8>,
}

impl Stored {
    /// As it is digested.
    pub fn row(&self) -> Row<'_, String> {
        Row {
            org: self.org_id.0,
            seq: self.seq,
            source: &self.source,
            at: micros(self.at),
            actor: &self.actor,
            actor_id: &self.actor_id,
            action: &self.action,
            target: &self.target,
            target_id: &self.target_id,
            changed: &self.changed,
            status: &self.status,
            code: self.code.as_deref(),
            request_id: self.request_id.as_deref(),
            ip: self.ip.as_deref(),
            detail: self.detail.as_deref(),
        }
    }

    /// The hash of this row behind the row before, where it is the one that is stored.
    pub fn follows(&self, seq: i64, before: &Hash) -> Result<Hash, String> {
        if self.seq != seq + 1 {
            return Err(format!("row {} follows row {seq}", self.seq));
        }
        let hash = self.row().hash(before);
        match self.hash == hash {
            true => Ok(hash),
            false => Err(format!("row {} is not what its hash was made of", self.seq)),
        }
    }
}

/// The rows after one, up to another, in order, at most `limit`.
pub async fn rows(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (after, up_to): (i64, i64),
    limit: i64,
) -> Result<Vec<Stored>> {
    store::rows(db, org, (after, up_to), limit).await
}

/// Where a chain ends; the organization may have none yet.
pub async fn head(db: impl PgExecutor<'_>, org: OrgId) -> Result<Option<(i64, Hash)>> {
    let row = store::head(db, org).await?;
    row.map(|(seq, bytes)| Ok((seq, digest(bytes)?)))
        .transpose()
}

/// Where every chain ends.
pub async fn heads(db: impl PgExecutor<'_>) -> Result<Vec<(OrgId, i64, Hash)>> {
    let rows = store::heads(db).await?.into_iter();
    rows.map(|(org, seq, hash)| Ok((org, seq, digest(hash)?)))
        .collect()
}

/// The checkpoints after one row, up to another, in order, at most `limit`.
pub async fn checkpoints(
    db: impl PgExecutor<'_>,
    org: OrgId,
    (after, up_to): (i64, i64),
    limit: i64,
) -> Result<Vec<Checkpoint>> {
    store::checkpoints(db, org, (after, up_to), limit).await
}

/// Every public key there ever was, with its id and when it was made, oldest first.
pub async fn public_keys(
    db: impl PgExecutor<'_>,
) -> Result<Vec<(String, [u8; 32], OffsetDateTime)>> {
    let rows = store::public_keys(db).await?.into_iter();
    rows.map(|(id, public, at)| Ok((id, digest(public)?, at)))
        .collect()
}

pub(super) fn digest<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| {
        Error::internal("the audit log holds a digest, key or signature of a wrong length")
    })
}
