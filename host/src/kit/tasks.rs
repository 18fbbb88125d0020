//! Every task of the host is spawned here, so that a shutdown can wait for all of them and a test can see that
//! none is left. Shutdown is a token, not a static.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns on the control runtime and knows what is running. Cheap to clone: a token of its own would take a lock.
#[derive(Clone, Debug)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    runtime: Handle,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

impl Tasks {
    /// On the runtime this is called from.
    pub fn current() -> Self {
        Self(Arc::new(Inner {
            runtime: Handle::current(),
            tracker: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }))
    }

    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.0.tracker.spawn_on(task, &self.0.runtime)
    }

    /// For work that blocks its thread: files, compression, the index.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.0.tracker.spawn_blocking_on(work, &self.0.runtime)
    }

    pub fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Cancelled when the host is to stop.
    pub fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// How many tasks are running.
    pub fn running(&self) -> usize {
        self.0.tracker.len()
    }

    /// Waits until no task runs; call after cancelling `shutdown`.
    pub async fn finished(&self) {
        self.0.tracker.close();
        self.0.tracker.wait().await;
    }
}
