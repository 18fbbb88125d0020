//! Hearing: one connection of its own that listens, is looked after, and is made again when it is lost. What may have
//! been missed meanwhile is asked for once. Hearing itself never waits for the database.

use std::time::Duration;

use sqlx::Executor as _;
use sqlx::postgres::{PgListener, PgNotification, PgPoolOptions};

use super::Announce;
use super::tell::{CANCEL, EVENTS, RELEASED, WATCH};
use crate::kit::{OrgId, Result};
use crate::runs::RunId;

/// What the connection is called in `pg_stat_activity`.
const NAME: &str = "bulkhead listener";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A connection that is this long silent is asked whether it still stands, and must answer within the other.
const SILENT: Duration = Duration::from_secs(15);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Between attempts to connect: doubled each time, up to the other.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

impl Announce {
    /// A connection that listens to everything.
    pub(super) async fn connect(&self) -> Result<PgListener> {
        let options = (*self.0.db.connect_options()).clone();
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(CONNECT_WITHIN)
            .connect_lazy_with(options.application_name(NAME));
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        listener
            .listen_all([CANCEL, WATCH, EVENTS, RELEASED])
            .await?;
        Ok(listener)
    }

    /// Hears until shutdown, over as many connections as it takes.
    pub(super) async fn hear(&self, first: Result<PgListener>) {
        let shutdown = self.0.tasks.shutdown().clone();
        let mut next = first;
        let (mut pause, mut missed) = (PAUSE, false);
        loop {
            match next {
                Ok(listener) => {
                    pause = PAUSE;
                    if missed {
                        self.catch_up();
                    }
                    let heard = self.attend(listener);
                    if shutdown.run_until_cancelled(heard).await.is_none() {
                        return;
                    }
                    tracing::warn!(
                        "the connection that hears other nodes was lost; it is made again"
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, cause = error.chain(), "other nodes cannot be heard; polls go on");
                }
            }
            missed = true;
            let wait = tokio::time::sleep(pause);
            if shutdown.run_until_cancelled(wait).await.is_none() {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
            match shutdown.run_until_cancelled(self.connect()).await {
                Some(connected) => next = connected,
                None => return,
            }
        }
    }

    /// Hears over one connection until it is lost.
    async fn attend(&self, mut listener: PgListener) {
        loop {
            match tokio::time::timeout(SILENT, listener.try_recv()).await {
                Ok(Ok(Some(message))) => self.take(&message),
                Ok(Ok(None) | Err(_)) => return,
                Err(_) => {
                    let asked = listener.execute("select 1");
                    if !matches!(tokio::time::timeout(ANSWERS_WITHIN, asked).await, Ok(Ok(_))) {
                        return;
                    }
                }
            }
        }
    }

    /// What was told while nobody heard is asked for.
    fn catch_up(&self) {
        self.0.watches.wake_all();
        self.0.released.notify_one();
        self.0.cancels.put(None);
        // Their nodes may not have heard of these readers.
        let watched = self.0.watches.all();
        watched.iter().for_each(|(_, run)| self.0.wanted.put(*run));
    }

    fn take(&self, message: &PgNotification) {
        let text = message.payload();
        match message.channel() {
            CANCEL => {
                let Some((org, run)) = text.split_once(' ') else {
                    return;
                };
                if let (Ok(org), Ok(run)) = (org.parse(), run.parse()) {
                    self.cancelled((OrgId(org), RunId(run)));
                }
            }
            WATCH => {
                if let Ok(run) = text.parse() {
                    self.watched_elsewhere(run);
                }
            }
            EVENTS => {
                if let Ok(run) = text.parse() {
                    self.0.watches.wake(run);
                }
            }
            // What this node released is for others.
            RELEASED if text != self.0.node.to_string() => self.0.released.notify_one(),
            _ => {}
        }
    }

    fn cancelled(&self, key: (OrgId, RunId)) {
        // Whoever asks waits for the end.
        self.watched_elsewhere(key.1);
        if self.0.live.get(key.1).is_some() {
            self.0.cancels.put(Some(key));
        }
    }
}
