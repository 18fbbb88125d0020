//! One endpoint's turn: leased, sent what is due, given back. Endpoints whose last attempt was a success are sent
//! several deliveries at one time, others one, so that a receiver that is down costs one request.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::places::Place;
use super::store::{self, Due, Leased};
use crate::kit::Result;
use crate::webhooks::Webhooks;

/// Batches an endpoint may send before another gets its place.
const BATCHES: usize = 16;
/// How long a stopping host waits for answers; what has none by then is sent again by another.
const GRACE: Duration = Duration::from_secs(2);

impl Webhooks {
    /// Makes deliveries of what was announced, and begins to send what is due. Does not wait for answers.
    pub(in crate::webhooks) async fn dispatch(&self) -> Result<()> {
        if self.tasks.shutdown().is_cancelled() {
            return Ok(());
        }
        self.fan_out().await?;
        let now = self.clock.now();
        let lease = self.ids.next();
        let until = now + self.config.lease();
        let leased = store::lease(&self.db, self.places.free(), lease, (now, until)).await?;
        if leased.is_empty() {
            return Ok(());
        }
        let mut turns = Vec::new();
        for endpoint in leased {
            match self.places.take(endpoint.lane()) {
                Some(place) => turns.push((endpoint, place)),
                // Another dispatch of this node was quicker.
                None => store::give_back(&self.db, &endpoint).await?,
            }
        }
        for (endpoint, place) in turns {
            let webhooks = self.clone();
            self.tasks
                .spawn(async move { webhooks.turn(Arc::new(endpoint), place).await });
        }
        Ok(())
    }

    async fn turn(&self, endpoint: Arc<Leased>, mut place: Place) {
        let shutdown = self.tasks.shutdown().clone();
        let stopping = async {
            shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            outcome = self.batches(&endpoint, &mut place) => {
                if let Err(error) = outcome {
                    // Its lease is left to end: what failed would fail again at once.
                    tracing::warn!(endpoint = %endpoint.id, %error, cause = error.chain(), "deliveries stopped; they go on later");
                    return;
                }
            }
            () = stopping => {}
        }
        if let Err(error) = store::give_back(&self.db, &endpoint).await {
            tracing::warn!(endpoint = %endpoint.id, %error, cause = error.chain(), "an endpoint was not given back; its lease ends");
        }
    }

    async fn batches(&self, endpoint: &Arc<Leased>, place: &mut Place) -> Result<()> {
        let secrets = self.secrets(endpoint)?;
        for _ in 0..BATCHES {
            if self.tasks.shutdown().is_cancelled() {
                break;
            }
            let now = self.clock.now();
            let most = match endpoint.lane {
                0 => self.config.per_endpoint,
                _ => 1,
            };
            let until = now + self.config.lease();
            let due: Vec<Due> = store::next(&self.db, endpoint, (now, until), most).await?;
            if due.is_empty() {
                break;
            }
            let sending = due.iter().map(|due| self.deliver(endpoint, due, &secrets));
            let sent = patiently(join_all(sending), self.config.slow_after_ms, place).await;
            // The lane may be another by now; whoever leases it next knows.
            if sent.into_iter().any(|outcome| !outcome.unwrap_or(false)) {
                break;
            }
        }
        Ok(())
    }
}

/// What takes long makes room for others.
async fn patiently<T>(work: impl Future<Output = T>, slow_after_ms: u64, place: &mut Place) -> T {
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(Duration::from_millis(slow_after_ms)) => place.make_room(),
    }
    work.await
}
