//! Work that recurs: a name, a period and what to do. A host runs each on its period; a test runs them when told.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{Result, Tasks};

type Work = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<()>> + Send>> + Send + Sync>;

/// One recurring job.
#[derive(Clone)]
pub struct Job {
    pub name: &'static str,
    pub every: Duration,
    work: Work,
}

impl Job {
    pub fn new<F, Fut>(name: &'static str, every: Duration, work: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        Self {
            name,
            every,
            work: Arc::new(move || Box::pin(work())),
        }
    }

    /// Runs it once.
    pub async fn run(&self) -> Result<()> {
        (self.work)().await
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Runs every job on its period until shutdown. A job that fails is logged and tried again at its next time.
pub fn run_all(jobs: &[Job], tasks: &Tasks) {
    for job in jobs.iter().cloned() {
        let shutdown = tasks.shutdown().clone();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(job.every);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                if let Err(error) = job.run().await {
                    tracing::warn!(job = job.name, %error, cause = error.chain(), "a job failed; it runs again");
                }
            }
        });
    }
}
