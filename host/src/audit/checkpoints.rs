//! Checkpoints: every so many rows, and when the oldest unsigned row is old enough, the end of a chain is signed. First
//! into a file outside the database, made durable there, then into the database.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::line::CheckpointLine;
use super::{Audit, store};
use crate::kit::jobs::Job;
use crate::kit::{Code, Error, Result};
use crate::ledger::audit::{self, Checkpoint};

pub(super) const NO_CHECKPOINTS: Code = Code::new(
    "checkpoints_unwritable",
    400,
    "The file of audit checkpoints cannot be written",
);

const EVERY: Duration = Duration::from_secs(10);
/// How many organizations one round looks after; the others wait for the next.
const ORGS_MAX: i64 = 1_000;

/// A chain that is due.
pub(super) struct Due {
    pub(super) org: crate::kit::OrgId,
    /// Where it ends.
    pub(super) seq: i64,
    /// Up to where it is signed, and the hash there.
    pub(super) signed: i64,
    pub(super) hash: Option<Vec<u8>>,
}

/// Makes the file where there is none, so that a host that could not keep checkpoints does not start.
pub(super) fn open(path: &Path) -> Result<()> {
    let opened = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        append(path, "")
    };
    opened().map_err(|error: std::io::Error| {
        NO_CHECKPOINTS
            .because(format!(
                "`audit.checkpoints`, {}, cannot be written: {error}. Name a file this host may append to.",
                path.display()
            ))
            .caused_by(error)
    })
}

fn append(path: &Path, lines: &str) -> std::io::Result<()> {
    let is_new = !path.exists();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(lines.as_bytes())?;
    file.sync_data()?;
    if let Some(folder) = path.parent().filter(|_| is_new) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl Audit {
    /// What time does here.
    pub fn jobs(&self) -> Vec<Job> {
        let audit = self.clone();
        let sign = move || {
            let audit = audit.clone();
            async move { audit.sign_due().await }
        };
        vec![Job::new("audit.checkpoints", EVERY, sign)]
    }

    /// Signs every chain that is due.
    pub async fn sign_due(&self) -> Result<()> {
        let inner = &self.inner;
        let old = inner.base.clock.now() - Duration::from_millis(inner.config.checkpoint_ms);
        let rows = i64::from(inner.config.checkpoint_rows.max(1));
        let due = store::due(&inner.base.db, (rows, old), ORGS_MAX).await?;
        let mut signed = Vec::new();
        for due in due {
            self.sign(due, rows, &mut signed).await?;
        }
        if signed.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for checkpoint in &signed {
            let line = CheckpointLine::of(checkpoint).with_key(&inner.signer.public());
            lines.push_str(&serde_json::to_string(&line)?);
            lines.push('\n');
        }
        let path = inner.config.checkpoints.clone();
        let written = inner
            .base
            .tasks
            .spawn_blocking(move || append(&path, &lines));
        written.await.map_err(Error::internal)??;
        store::insert_checkpoints(&inner.base.db, &signed).await
    }

    /// A checkpoint for every `step` rows and one for the last. Rows that do not fit their chain are not signed.
    async fn sign(&self, due: Due, step: i64, signed: &mut Vec<Checkpoint>) -> Result<()> {
        let (mut seq, mut hash) = (due.signed, audit::chain::GENESIS);
        if let Some(stored) = due.hash {
            hash = stored
                .try_into()
                .map_err(|_| Error::internal("a checkpoint's hash is not 32 bytes"))?;
        }
        while seq < due.seq {
            let db = &self.inner.base.db;
            let rows = audit::rows(db, due.org, (seq, due.seq), step).await?;
            let fit = rows.iter().try_fold((seq, hash), |(seq, hash), row| {
                Ok::<_, String>((row.seq, row.follows(seq, &hash)?))
            });
            match fit {
                Ok(end) if end.0 > seq => (seq, hash) = end,
                other => {
                    let what = other.map_or_else(|what| what, |_| "rows are missing".to_owned());
                    tracing::error!(org = %due.org, after = seq, what, "the audit log was altered: it is not signed");
                    metrics::counter!("bulkhead_audit_broken_chains_total").increment(1);
                    return Ok(());
                }
            }
            let now = self.inner.base.clock.now();
            signed.push(self.inner.signer.checkpoint(due.org, (seq, hash), now));
        }
        Ok(())
    }
}
