//! Appending: the heads of the organizations are locked in order of their ids, so that no two transactions wait for
//! each other, and held until the caller commits. Call it last in a transaction, once, with all of its entries.

use sqlx::PgConnection;

use super::chain::{Hash, Row};
use super::checkpoint::micros;
use super::{Entry, store};
use crate::kit::{Error, OrgId, Result};

/// An organization's chain, as far as it goes.
pub(super) struct Head {
    pub(super) org: OrgId,
    pub(super) seq: i64,
    pub(super) hash: Hash,
}

/// An entry with its place.
pub(super) struct Linked<'a> {
    pub(super) entry: &'a Entry,
    pub(super) seq: i64,
    pub(super) hash: Hash,
}

/// Appends the entries, each to the chain of its organization, in the order they are given in.
pub async fn record(tx: &mut PgConnection, entries: &[Entry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut orgs: Vec<OrgId> = entries.iter().map(|entry| entry.org).collect();
    orgs.sort_unstable();
    orgs.dedup();
    let mut heads = store::lock_heads(&mut *tx, &orgs).await?;
    heads.sort_unstable_by_key(|head| head.org);
    let mut linked = Vec::with_capacity(entries.len());
    for entry in entries {
        let head = heads
            .binary_search_by_key(&entry.org, |head| head.org)
            .map_err(|_| Error::internal("an audit chain has no head"))?;
        let head = &mut heads[head];
        head.seq += 1;
        head.hash = row(entry, head.seq).hash(&head.hash);
        linked.push(Linked {
            entry,
            seq: head.seq,
            hash: head.hash,
        });
    }
    store::append(tx, &linked, &heads).await
}

fn row(entry: &Entry, seq: i64) -> Row<'_, String> {
    Row {
        org: entry.org.0,
        seq,
        source: entry.source.as_str(),
        at: micros(entry.at),
        actor: entry.actor.kind,
        actor_id: &entry.actor.id,
        action: entry.action.as_str(),
        target: entry.target.kind,
        target_id: &entry.target.id,
        changed: &entry.changed,
        status: entry.status.as_str(),
        code: entry.code.as_deref(),
        request_id: entry.request_id.as_deref(),
        ip: entry.ip.as_deref(),
        detail: entry.detail.as_deref(),
    }
}
