//! The runs that readers of this node follow while another node runs them: one entry for each run, however many
//! read. Readers register first and read the table second, so nothing falls between.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Announce;
use crate::kit::OrgId;
use crate::runs::RunId;

#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<HashMap<RunId, Entry>>);

#[derive(Debug)]
struct Entry {
    org: OrgId,
    /// The last event the poll saw.
    seen: Option<i32>,
    news: watch::Sender<()>,
}

/// A reader's interest in a run; the last one takes the entry with it.
#[derive(Debug)]
pub struct Watch {
    run: RunId,
    news: watch::Receiver<()>,
    announce: Announce,
}

impl Watch {
    /// Resolves when the run may have news: by a message, or by the poll. Dropping the future loses nothing.
    pub async fn changed(&mut self) {
        // The sender lives as long as this watch does.
        let _ = self.news.changed().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut entries = self.announce.0.watches.lock();
        // Readers come and go under this lock: the one that counts only itself is the last.
        if let Some(entry) = entries.get(&self.run)
            && entry.news.receiver_count() <= 1
        {
            entries.remove(&self.run);
        }
    }
}

impl Announce {
    /// Follows a run that is not here, and tells its node so: from now on that one tells what is new.
    pub fn watch(&self, key: (OrgId, RunId)) -> Watch {
        let watch = self.wait_for(key);
        self.0.wanted.put(key.1);
        watch
    }

    /// The same without a word, for a run whose node is told anyway.
    pub fn wait_for(&self, (org, run): (OrgId, RunId)) -> Watch {
        let mut entries = self.0.watches.lock();
        let entry = entries.entry(run).or_insert_with(|| Entry {
            org,
            seen: None,
            news: watch::Sender::new(()),
        });
        Watch {
            run,
            news: entry.news.subscribe(),
            announce: self.clone(),
        }
    }
}

impl Watches {
    pub(super) fn all(&self) -> Vec<(OrgId, RunId)> {
        let entries = self.lock();
        entries
            .iter()
            .map(|(run, entry)| (entry.org, *run))
            .collect()
    }

    /// A message came: its readers look.
    pub(super) fn wake(&self, run: RunId) {
        if let Some(entry) = self.lock().get(&run) {
            entry.news.send_replace(());
        }
    }

    /// Messages may have been lost: everybody looks.
    pub(super) fn wake_all(&self) {
        for entry in self.lock().values() {
            entry.news.send_replace(());
        }
    }

    /// What the poll found: readers of a run that has grown look.
    pub(super) fn found(&self, last: &[(RunId, i32)]) {
        let mut entries = self.lock();
        for (run, seq) in last {
            if let Some(entry) = entries.get_mut(run)
                && entry.seen.replace(*seq) != Some(*seq)
            {
                entry.news.send_replace(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
