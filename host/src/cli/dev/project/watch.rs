//! When a project changes. The system's notices only wake it: what changed is always told by comparing snapshots, so a
//! notice that is lost, late or about nothing costs time at most, and a save during a build is seen after it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::Snapshot;

/// A burst of saves ends when nothing changed for so long, or is taken as it is after so long.
const QUIET: Duration = Duration::from_millis(50);
const BURST_MAX: Duration = Duration::from_secs(1);
/// How often it looks without any notice: where there are notices, and where the system gives none.
const LOOK_NOTIFIED: Duration = Duration::from_secs(2);
const LOOK_ALONE: Duration = Duration::from_millis(300);

/// A watched folder.
#[derive(Debug)]
pub(in crate::cli::dev) struct Watch {
    folder: PathBuf,
    ignored: PathBuf,
    notices: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watch {
    /// Watches a folder, but not below `ignored`.
    pub(in crate::cli::dev) fn start(folder: &Path, ignored: &Path) -> Self {
        let (send, notices) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Looking at files is an event too, and would wake for ever. Full: it is awake already.
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                let _ = send.try_send(());
            }
        });
        Self {
            folder: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()),
            ignored: ignored
                .canonicalize()
                .unwrap_or_else(|_| ignored.to_owned()),
            notices,
            // Without it, as where a user may have no more of them, it looks more often.
            watcher: watcher.ok(),
            watched: BTreeSet::new(),
        }
    }

    pub(in crate::cli::dev) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is there now.
    pub(in crate::cli::dev) async fn look(&mut self) -> Snapshot {
        let (folder, ignored) = (self.folder.clone(), self.ignored.clone());
        let looking = tokio::task::spawn_blocking(move || Snapshot::take(&folder, &ignored));
        let snapshot = looking.await.unwrap_or_default();
        self.follow(&snapshot.folders);
        snapshot
    }

    /// Resolves with what is there once that differs from `since` and a burst of saves is over.
    pub(in crate::cli::dev) async fn changed(&mut self, since: &Snapshot) -> Snapshot {
        loop {
            let now = self.look().await;
            if now != *since {
                return self.settled(now).await;
            }
            let pause = match self.watcher {
                Some(_) => LOOK_NOTIFIED,
                None => LOOK_ALONE,
            };
            // Either way it looks again; a watcher that ended is waited for by the clock alone.
            if let Ok(None) = timeout(pause, self.notices.recv()).await {
                self.watcher = None;
                sleep(LOOK_ALONE).await;
            }
        }
    }

    async fn settled(&mut self, mut seen: Snapshot) -> Snapshot {
        let end = Instant::now() + BURST_MAX;
        while Instant::now() < end {
            sleep(QUIET).await;
            let now = self.look().await;
            if now == seen {
                break;
            }
            seen = now;
        }
        seen
    }

    /// Asks for notices of every folder, one by one: a build writes thousands of files where nobody looks.
    fn follow(&mut self, folders: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for gone in self.watched.difference(folders) {
            // The system has forgotten it already, or will.
            let _ = watcher.unwatch(gone);
        }
        let followed = folders
            .difference(&self.watched)
            .try_for_each(|new| watcher.watch(new, RecursiveMode::NonRecursive));
        if followed.is_err() && !folders.is_empty() {
            self.watcher = None;
        }
        self.watched.clone_from(folders);
    }
}
