//! The group commit when the database stalls: what waits is bounded, in changes and in bytes, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bulkhead::kit::commit::{Apply, Shape, Weigh, Writer};
use bulkhead::kit::{Result, Tasks, db};
use bulkhead_tests::database;
use bulkhead_tests::host::eventually;
use sqlx::PgConnection;
use tokio::sync::Semaphore;

/// A change of so many bytes.
struct Blob(Vec<u8>);

impl Weigh for Blob {
    fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// Writes when it is let.
struct Gate {
    open: Arc<Semaphore>,
    written: Arc<AtomicUsize>,
}

impl Apply for Gate {
    type Change = Blob;

    async fn apply<'a>(
        &'a self,
        _tx: &'a mut PgConnection,
        batch: &'a [Blob],
    ) -> Result<Vec<Result<()>>> {
        let _held = self.open.acquire().await.expect("it is never closed");
        self.written.fetch_add(batch.len(), Ordering::SeqCst);
        Ok(batch.iter().map(|_| Ok(())).collect())
    }

    fn settled(&self, _change: &Blob, _outcome: &Result<()>) {}
}

/// How many of a hundred changes of `size` bytes a stalled writer takes before its callers wait; then all are written.
async fn taken(size: usize, shape: Shape) -> usize {
    let database = database::fresh().await;
    let pool = db::connect(database.url(), 2)
        .await
        .expect("the database is there");
    let (open, written) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Gate {
        open: Arc::clone(&open),
        written: Arc::clone(&written),
    };
    let tasks = Tasks::current();
    let writer = Writer::start(gate, &pool, &tasks, shape);
    let (queued, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for key in 0..100 {
        let (writer, queued, ended) = (writer.clone(), Arc::clone(&queued), Arc::clone(&ended));
        tasks.spawn(async move {
            let durable = writer.push(key, Blob(vec![0; size])).await;
            queued.fetch_add(1, Ordering::SeqCst);
            let durable = durable.expect("the writer lives");
            durable.wait().await.expect("it is written");
            ended.fetch_add(1, Ordering::SeqCst);
        });
    }
    // It has taken all it takes when nothing more is queued for a while.
    let mut last = usize::MAX;
    while last != queued.load(Ordering::SeqCst) || last == 0 {
        last = queued.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(ended.load(Ordering::SeqCst), 0, "nothing was written yet");
    open.add_permits(1);
    eventually("all are written", async || {
        ended.load(Ordering::SeqCst) == 100
    })
    .await;
    assert_eq!(written.load(Ordering::SeqCst), 100, "each once");
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_database_stops_its_writers_by_bytes() {
    let shape = Shape {
        lanes: 2,
        batch: 512,
        queue: 4_096,
        bytes: 1 << 20,
    };
    assert_eq!(taken(256 << 10, shape).await, 4);
    // One that is larger than all of it goes alone.
    assert_eq!(taken(2 << 20, shape).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_database_stops_its_writers_by_changes() {
    let shape = Shape {
        lanes: 1,
        batch: 4,
        queue: 8,
        bytes: 1 << 20,
    };
    let taken = taken(10, shape).await;
    assert!(
        (1..=12).contains(&taken),
        "a batch and a queue at most: {taken}"
    );
}
