//! Bringing an index to the present: what changed since its generation is streamed from the database into one commit.
//! A failure on the way commits nothing; the next search begins again from the same generation.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{IndexWriter, TantivyError, Term};
use tokio::sync::{mpsc, oneshot};

use super::open::{OpenIndex, committed, payload};
use super::{Fault, Indexes};
use crate::kit::{Error, OrgId};
use crate::knowledge::store::{self, Change, Standing};

/// Chunks between the database and the writer.
const QUEUE: usize = 64;
/// Another host on the same folder is at work: look again after this long.
const BUSY_WAIT: Duration = Duration::from_millis(50);
/// What the index's library works with at the least.
const WRITER_BYTES_MIN: usize = 15_000_000;
/// Segments above this are merged no further, so that no merge holds up freshness for long.
const MERGED_CHUNKS_MAX: usize = 50_000;

const SHARED: &str = "Another host writes the search index in this host's data folder: give each host its own folder.";

enum Step {
    Change(Change),
    /// Everything arrived: commit, at this generation at least.
    End(i64),
}

impl Indexes {
    /// Holding the lock: makes `open` show the generation `wanted` at least.
    pub(super) async fn catch_up(
        &self,
        org: OrgId,
        open: &Arc<OpenIndex>,
        wanted: Standing,
    ) -> Result<(), Fault> {
        let at = committed(&open.index)?;
        if at > wanted.generation && at > self.standing(org).await? {
            let error = format!(
                "it is of another database: {at} is after {}",
                wanted.generation
            );
            return Err(TantivyError::SystemError(error).into());
        }
        if at > 0 && at < wanted.forgotten {
            return Err(TantivyError::SystemError("it slept too long".into()).into());
        }
        if at >= wanted.generation {
            return Ok(open.reload()?);
        }
        open.merged().await?;
        let writer = self.writer(open).await?;
        // Another host may have written before the writer was ours.
        let from = committed(&open.index)?;
        let (steps, queue) = mpsc::channel(QUEUE);
        let (shown, showing) = oneshot::channel();
        let index = Arc::clone(open);
        let writing = self
            .tasks
            .spawn_blocking(move || write(&index, writer, queue, shown));
        let sent = self.send(org, from, wanted.generation, &steps).await;
        // Without its end the writer drops what it got.
        drop(steps);
        if showing.await.is_err() {
            sent?;
            writing.await.map_err(Error::internal)??;
            return Err(Error::unavailable("The host is stopping.").into());
        }
        metrics::counter!("bulkhead_knowledge_catch_ups_total").increment(1);
        open.merging(writing).await;
        Ok(())
    }

    async fn standing(&self, org: OrgId) -> Result<i64, Error> {
        let standing = store::standing(&self.db, org).await?;
        Ok(standing.map_or(0, |standing| standing.generation))
    }

    async fn send(
        &self,
        org: OrgId,
        from: i64,
        wanted: i64,
        steps: &mpsc::Sender<Step>,
    ) -> Result<(), Error> {
        let mut newest = wanted;
        let mut changes = store::changes(&self.db, org, from);
        loop {
            let change = tokio::select! {
                biased;
                () = self.tasks.shutdown().cancelled() => return Err(Error::unavailable("The host is stopping.")),
                change = changes.try_next() => change?,
            };
            let Some(change) = change else { break };
            newest = newest.max(change.generation);
            if steps.send(Step::Change(change)).await.is_err() {
                // The writer failed and says why itself.
                return Ok(());
            }
        }
        let _ = steps.send(Step::End(newest)).await;
        Ok(())
    }

    async fn writer(&self, open: &Arc<OpenIndex>) -> Result<IndexWriter, Fault> {
        let patience = Duration::from_millis(self.config.writer_wait_ms);
        let asked = Instant::now();
        loop {
            let index = open.index.clone();
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(self.config.writer_memory_bytes.max(WRITER_BYTES_MIN))
                .build();
            let opening = self
                .tasks
                .spawn_blocking(move || index.writer_with_options(options));
            match opening.await.map_err(Error::internal)? {
                Ok(writer) => return Ok(writer),
                Err(TantivyError::LockFailure(..)) if asked.elapsed() < patience => {
                    tokio::time::sleep(BUSY_WAIT).await;
                }
                Err(TantivyError::LockFailure(..)) => return Err(Error::unavailable(SHARED).into()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// On a thread of its own: applies the steps, commits at the end, shows the commit, then lets merges finish.
fn write(
    open: &OpenIndex,
    writer: IndexWriter,
    mut queue: mpsc::Receiver<Step>,
    shown: oneshot::Sender<()>,
) -> Result<(), TantivyError> {
    let mut writer = writer;
    let mut policy = LogMergePolicy::default();
    policy.set_max_docs_before_merge(MERGED_CHUNKS_MAX);
    writer.set_merge_policy(Box::new(policy));
    let (mut entry, mut chunks) = (None, 0);
    while let Some(step) = queue.blocking_recv() {
        let change = match step {
            Step::Change(change) => change,
            Step::End(generation) => {
                let mut commit = writer.prepare_commit()?;
                commit.set_payload(&payload(generation));
                commit.commit()?;
                open.reload()?;
                metrics::counter!("bulkhead_knowledge_indexed_chunks_total").increment(chunks);
                let _ = shown.send(());
                writer.wait_merging_threads()?;
                return open.reload();
            }
        };
        if entry != Some(change.entry) {
            entry = Some(change.entry);
            let term = Term::from_field_text(open.fields.entry, &change.entry.simple().to_string());
            writer.delete_term(term);
        }
        if let Some(chunk) = change.chunk {
            writer.add_document(open.document(chunk, &change))?;
            chunks += 1;
        }
    }
    Ok(())
}
