//! The messages a node sends, and the poll behind those it gets. Every task ends at shutdown; a statement that fails
//! is not repeated, since what it would have told is found by a poll.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::{Announce, Pending, store};
use crate::kit::Result;
use crate::runs::log::StopCause;
use crate::runs::nodes::store::cancels_of;
use crate::runs::{RunId, Runs};

pub(super) const CANCEL: &str = "bulkhead_cancel";
pub(super) const WATCH: &str = "bulkhead_watch";
pub(super) const EVENTS: &str = "bulkhead_events";
pub(super) const RELEASED: &str = "bulkhead_released";

/// How often the table is asked for what no message told.
const POLL: Duration = Duration::from_millis(500);
/// How often a watch is announced again, since the run's node may have changed; and how long an announcement holds.
const AGAIN: Duration = Duration::from_secs(5);
const HOLDS: Duration = Duration::from_secs(15);
/// Messages gather this long after each statement: a run that writes fast costs a bounded number of them.
const GATHER: Duration = Duration::from_millis(10);
/// Messages in one statement.
const TOGETHER: usize = 500;

impl Runs {
    /// Begins to hear what other nodes tell, and to tell them.
    pub async fn listen(&self) {
        self.inner.announce.listen().await;
        let runs = self.clone();
        let shutdown = self.inner.tasks.shutdown().clone();
        let claim = async move {
            loop {
                runs.inner.announce.on_released().await;
                if let Err(error) = runs.recover().await {
                    tracing::warn!(%error, cause = error.chain(), "released runs were not claimed; a job does");
                }
            }
        };
        self.inner
            .tasks
            .spawn(async move { shutdown.run_until_cancelled(claim).await });
    }
}

impl Announce {
    /// Runs of a node are there to be taken: whoever lives looks now.
    pub async fn released(&self) -> Result<()> {
        if self.0.on {
            store::tell(&self.0.db, RELEASED, &[self.0.node.to_string()]).await?;
        }
        Ok(())
    }

    /// Resolves when another node has released runs, and after messages may have been lost. For one task.
    pub async fn on_released(&self) {
        self.0.released.notified().await;
    }

    /// Begins to tell, to hear and to poll. Waits for the first connection, so that what is told from now on arrives.
    pub async fn listen(&self) {
        let this = self.clone();
        self.begin(async move { this.poll().await });
        if !self.0.on {
            return;
        }
        let this = self.clone();
        self.begin(async move { this.send(EVENTS, &this.0.news).await });
        let this = self.clone();
        self.begin(async move { this.send(WATCH, &this.0.wanted).await });
        let this = self.clone();
        self.begin(async move { this.stop_cancelled().await });
        let first = self.connect().await;
        let this = self.clone();
        self.0.tasks.spawn(async move { this.hear(first).await });
    }

    /// A task that is dropped at shutdown.
    fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.0.tasks.shutdown().clone();
        self.0
            .tasks
            .spawn(async move { shutdown.run_until_cancelled(work).await });
    }

    async fn send(&self, channel: &str, runs: &Pending<RunId>) {
        loop {
            let messages: Vec<String> = runs.take().await.iter().map(RunId::to_string).collect();
            for some in messages.chunks(TOGETHER) {
                if let Err(error) = store::tell(&self.0.db, channel, some).await {
                    tracing::debug!(channel, %error, cause = error.chain(), "messages were not sent; polls find it");
                }
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Stops the runs of this node whose cancel was announced, as the database has it.
    async fn stop_cancelled(&self) {
        loop {
            let told = self.0.cancels.take().await;
            let named: Option<Vec<_>> = told.into_iter().collect();
            let cancels = match named {
                Some(named) => store::cancels_among(&self.0.db, self.0.node, &named).await,
                None => cancels_of(&self.0.db, self.0.node).await,
            };
            match cancels {
                Ok(cancels) => {
                    for (run, at) in cancels {
                        if let Some(live) = self.0.live.get(run) {
                            live.stop(StopCause::Cancelled, at);
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, cause = error.chain(), "cancels were not read; the poll finds them");
                }
            }
        }
    }

    /// Asks for the runs that are watched here: one statement for all of them, and none where there are none.
    async fn poll(&self) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut announced = Instant::now();
        loop {
            ticks.tick().await;
            let watched = self.0.watches.all();
            if watched.is_empty() {
                continue;
            }
            match store::last_events(&self.0.db, &watched).await {
                Ok(last) => self.0.watches.found(&last),
                Err(error) => {
                    tracing::debug!(%error, cause = error.chain(), "watched runs were not read");
                }
            }
            if self.0.on && announced.elapsed() >= AGAIN {
                announced = Instant::now();
                watched.iter().for_each(|(_, run)| self.0.wanted.put(*run));
            }
        }
    }

    /// Somebody elsewhere reads a run; if it is here, it tells its news for a while.
    pub(super) fn watched_elsewhere(&self, run: RunId) {
        if let Some(live) = self.0.live.get(run) {
            live.watched(&self.0.news, Instant::now() + HOLDS);
        }
    }
}
