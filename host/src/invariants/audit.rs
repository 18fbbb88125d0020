//! Whether every audit chain is whole: read in pages, so that it takes no more memory however long a chain is. Each
//! organization's first fault is told; what follows it proves nothing.

use std::collections::HashMap;

use sqlx::PgConnection;

use crate::kit::{OrgId, Result};
use crate::ledger::audit::chain::{GENESIS, Hash};
use crate::ledger::audit::{self, Checkpoint};

const PAGE: i64 = 1_000;

type Keys = HashMap<String, [u8; 32]>;

/// The first fault of each chain, at most so many.
pub(super) async fn broken(tx: &mut PgConnection, told: i64) -> Result<Vec<String>> {
    let keys = audit::public_keys(&mut *tx).await?.into_iter();
    let keys: Keys = keys.map(|(id, public, _)| (id, public)).collect();
    let mut found = Vec::new();
    for (org, seq, hash) in audit::heads(&mut *tx).await? {
        if found.len() >= usize::try_from(told).unwrap_or(usize::MAX) {
            break;
        }
        let fault = chain(tx, org, (seq, hash), &keys).await?;
        found.extend(fault.map(|what| format!("the audit chain of {org}: {what}")));
    }
    Ok(found)
}

async fn chain(
    tx: &mut PgConnection,
    org: OrgId,
    (end, head): (i64, Hash),
    keys: &Keys,
) -> Result<Option<String>> {
    let (mut seq, mut hash) = (0, GENESIS);
    loop {
        // Behind the head too: a row there was appended around it.
        let rows = audit::rows(&mut *tx, org, (seq, i64::MAX), PAGE).await?;
        let Some(last) = rows.last().map(|row| row.seq) else {
            break;
        };
        let signed = audit::checkpoints(&mut *tx, org, (seq, last), PAGE).await?;
        let mut signed = signed.iter().peekable();
        for row in &rows {
            match row.follows(seq, &hash) {
                Ok(next) => (seq, hash) = (row.seq, next),
                Err(what) => return Ok(Some(what)),
            }
            while let Some(checkpoint) = signed.next_if(|checkpoint| checkpoint.seq <= seq) {
                if let Some(what) = unfit(checkpoint, (seq, hash), keys) {
                    return Ok(Some(what));
                }
            }
        }
    }
    if (seq, hash) != (end, head) {
        return Ok(Some(format!("its rows end at {seq}, its head is at {end}")));
    }
    let beyond = audit::checkpoints(&mut *tx, org, (seq, i64::MAX), 1).await?;
    Ok(beyond
        .first()
        .map(|checkpoint| format!("row {} was signed, the rows end at {seq}", checkpoint.seq)))
}

fn unfit(checkpoint: &Checkpoint, here: (i64, Hash), keys: &Keys) -> Option<String> {
    let at = checkpoint.seq;
    if (at, checkpoint.hash) != here {
        return Some(format!("row {at} is not the one that was signed"));
    }
    let key = keys.get(&checkpoint.key_id);
    let signed = key.is_some_and(|key| checkpoint.is_signed_by(key));
    (!signed).then(|| format!("the checkpoint at row {at} is not signed by a key of this database"))
}
