//! The indexes this node holds open, one for each organization, and the one lock under which each is opened, written
//! or deleted. A broken one is deleted and rebuilt; one nobody asks for is closed.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use moka::sync::Cache;
use sqlx::PgPool;
use tantivy::TantivyError;

use super::{Fault, OpenIndex};
use crate::kit::{Error, OrgId, Result, Tasks};
use crate::knowledge::{Config, store};

type Lock = Arc<tokio::sync::Mutex<()>>;

#[derive(Clone)]
pub(in crate::knowledge) struct Indexes {
    pub(super) db: PgPool,
    pub(super) tasks: Tasks,
    pub(super) config: Arc<Config>,
    open: Cache<OrgId, Arc<OpenIndex>>,
    /// Whoever opens, writes or deletes an organization's index on this node holds its lock.
    locks: Arc<Mutex<HashMap<OrgId, Weak<tokio::sync::Mutex<()>>>>>,
}

impl Indexes {
    pub(in crate::knowledge) fn new(db: PgPool, tasks: Tasks, config: Arc<Config>) -> Self {
        let open = Cache::builder()
            .max_capacity(config.open_indexes_max)
            .time_to_idle(Duration::from_secs(config.idle_seconds))
            .build();
        Self {
            db,
            tasks,
            config,
            open,
            locks: Arc::default(),
        }
    }

    /// The organization's index with every change in it that was committed before this call; `None` where the
    /// organization never had an entry.
    pub(in crate::knowledge) async fn current(&self, org: OrgId) -> Result<Option<Arc<OpenIndex>>> {
        let Some(wanted) = store::standing(&self.db, org).await? else {
            return Ok(None);
        };
        let shown = || {
            let open = self.open.get(&org)?;
            (open.generation() >= wanted.generation).then_some(open)
        };
        if let Some(open) = shown() {
            return Ok(Some(open));
        }
        let guard = self.lock(org).lock_owned().await;
        if let Some(open) = shown() {
            // Whoever held the lock before did the work.
            return Ok(Some(open));
        }
        // A task of its own: whoever asked first may go away, others wait for the same work.
        let indexes = self.clone();
        let work = self.tasks.spawn(async move {
            let _guard = guard;
            indexes.bring_up(org, wanted).await
        });
        work.await.map_err(Error::internal)?.map(Some)
    }

    /// An index failed while it was searched: it is deleted, the next search rebuilds it.
    pub(in crate::knowledge) async fn discard(
        &self,
        org: OrgId,
        broken: &Arc<OpenIndex>,
        error: &TantivyError,
    ) {
        let _guard = self.lock(org).lock_owned().await;
        // Another search may have seen the same and rebuilt it already.
        if self
            .open
            .get(&org)
            .is_some_and(|open| Arc::ptr_eq(&open, broken))
        {
            self.delete(org, error).await;
        }
    }

    /// Closes what nobody asked for; the cache would only do so when it is asked for something else.
    pub(in crate::knowledge) fn close_idle(&self) {
        self.open.run_pending_tasks();
    }

    /// Holding the lock: opens the index and catches up, rebuilding it once where it is broken.
    async fn bring_up(&self, org: OrgId, wanted: store::Standing) -> Result<Arc<OpenIndex>> {
        match self.open_and_catch_up(org, wanted).await {
            Err(Fault::Broken(error)) => self.delete(org, &error).await,
            other => return other.map_err(refusal),
        }
        self.open_and_catch_up(org, wanted).await.map_err(refusal)
    }

    async fn open_and_catch_up(
        &self,
        org: OrgId,
        wanted: store::Standing,
    ) -> Result<Arc<OpenIndex>, Fault> {
        let open = match self.open.get(&org) {
            Some(open) => open,
            None => {
                let folder = self.folder(org);
                let opening = self.tasks.spawn_blocking(move || OpenIndex::open(&folder));
                Arc::new(opening.await.map_err(Error::internal)??)
            }
        };
        self.catch_up(org, &open, wanted).await?;
        self.open.insert(org, Arc::clone(&open));
        Ok(open)
    }

    /// Holding the lock: deletes what is on disk. Readers of the old files keep them until they are done.
    async fn delete(&self, org: OrgId, error: &TantivyError) {
        tracing::warn!(org.id = %org, %error, "a search index cannot be used; it is rebuilt from the database");
        metrics::counter!("bulkhead_knowledge_rebuilds_total").increment(1);
        if let Some(open) = self.open.remove(&org) {
            // Its last writer must be gone from the folder; how it ended no longer matters.
            let _ = open.merged().await;
        }
        let folder = self.folder(org);
        let deleting = self
            .tasks
            .spawn_blocking(move || fs::remove_dir_all(folder));
        if let Ok(Err(error)) = deleting.await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(org.id = %org, %error, "a broken search index could not be deleted");
        }
    }

    fn folder(&self, org: OrgId) -> PathBuf {
        self.config.index.join(org.0.simple().to_string())
    }

    fn lock(&self, org: OrgId) -> Lock {
        let mut locks = self.locks.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(lock) = locks.get(&org).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Lock::default();
        locks.insert(org, Arc::downgrade(&lock));
        lock
    }
}

fn refusal(fault: Fault) -> Error {
    match fault {
        Fault::Refused(error) => error,
        Fault::Broken(error) => {
            Error::unavailable("The search index cannot be built; the host's log says why.")
                .caused_by(error)
        }
    }
}

impl std::fmt::Debug for Indexes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Indexes")
    }
}
