//! Group commit: changes of many runs become one transaction, each is acknowledged after the commit. Changes under
//! one key keep their order; the queue is bounded, so a slow database slows its callers instead of filling memory.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};

use super::error::UNAVAILABLE;
use super::{Error, Result, Tasks};

/// How changes are written: all of a batch in the caller's transaction, one answer for each, in order.
pub trait Apply: Send + Sync + 'static {
    type Change: Send + Sync + 'static;

    /// An `Err` rolls the batch back; then each change is tried alone, so that one bad change harms no other.
    fn apply<'a>(
        &'a self,
        tx: &'a mut sqlx::PgConnection,
        batch: &'a [Self::Change],
    ) -> impl Future<Output = Result<Vec<Result<()>>>> + Send + 'a;

    /// The change is durable, or never will be. Called before the acknowledgement, in order.
    fn settled(&self, change: &Self::Change, outcome: &Result<()>);
}

struct Queued<C> {
    change: C,
    done: oneshot::Sender<Result<()>>,
}

/// The acknowledgement of a change: resolves when it is durable, or says why it never will be.
pub struct Durable(oneshot::Receiver<Result<()>>);

/// That a change, and everything queued under its key before it, is durable. Only an acknowledged commit gives one:
/// what must not begin before its past is safe asks for it.
#[derive(Debug)]
pub struct Committed(());

impl Durable {
    pub async fn wait(self) -> Result<Committed> {
        self.0
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("The host is stopping.")))
            .map(Committed)
    }
}

/// Hands changes to the writers. Cheap to clone.
pub struct Writer<C> {
    lanes: Arc<[mpsc::Sender<Queued<C>>]>,
}

impl<C> Clone for Writer<C> {
    fn clone(&self) -> Self {
        Self {
            lanes: Arc::clone(&self.lanes),
        }
    }
}

impl<C: Send + Sync + 'static> Writer<C> {
    /// Starts `lanes` writers. Each takes up to `batch` changes at a time and queues at most `queue`.
    pub fn start<A: Apply<Change = C>>(
        apply: A,
        db: &PgPool,
        tasks: &Tasks,
        (lanes, batch, queue): (usize, usize, usize),
    ) -> Self {
        let apply = Arc::new(apply);
        let lanes = (0..lanes.max(1))
            .map(|_| {
                let (send, receive) = mpsc::channel(queue);
                tasks.spawn(write(Arc::clone(&apply), db.clone(), receive, batch));
                send
            })
            .collect();
        Self { lanes }
    }

    /// Waits for room. Changes with the same `key` become durable in the order their slots were sent.
    pub async fn reserve(&self, key: u128) -> Result<Slot<'_, C>> {
        let lane = &self.lanes[(key % self.lanes.len() as u128) as usize];
        let permit = lane
            .reserve()
            .await
            .map_err(|_| Error::unavailable("The host is stopping."))?;
        Ok(Slot(permit))
    }

    /// Queues a change.
    pub async fn push(&self, key: u128, change: C) -> Result<Durable> {
        Ok(self.reserve(key).await?.send(change))
    }
}

/// Room in the queue: sending into it cannot wait, so what is numbered on sending leaves no gap when a caller is
/// dropped while it waits.
pub struct Slot<'a, C>(mpsc::Permit<'a, Queued<C>>);

impl<C> Slot<'_, C> {
    pub fn send(self, change: C) -> Durable {
        let (done, durable) = oneshot::channel();
        self.0.send(Queued { change, done });
        Durable(durable)
    }
}

impl<C> std::fmt::Debug for Writer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("lanes", &self.lanes.len())
            .finish()
    }
}

/// How long a lane tries again while the database does not answer, before it tells its callers.
const PATIENCE: Duration = Duration::from_secs(30);

/// One lane: ends when every `Writer` is gone and the queue is empty, so a drain loses nothing.
async fn write<A: Apply>(
    apply: Arc<A>,
    db: PgPool,
    mut queue: mpsc::Receiver<Queued<A::Change>>,
    most: usize,
) {
    let mut batch = Vec::with_capacity(most);
    while queue.recv_many(&mut batch, most).await > 0 {
        let (changes, done): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|queued| (queued.change, queued.done))
            .unzip();
        metrics::histogram!("bulkhead_commit_batch_changes").record(changes.len() as f64);
        let answers = match patiently(&*apply, &db, &changes).await {
            Ok(answers) => answers,
            Err(_) if changes.len() > 1 => one_by_one(&*apply, &db, &changes).await,
            Err(error) => vec![Err(error)],
        };
        for ((change, done), answer) in changes.iter().zip(done).zip(answers) {
            apply.settled(change, &answer);
            // Nobody waits for an acknowledgement whose run was dropped; the row stands all the same.
            let _ = done.send(answer);
        }
    }
}

async fn one_by_one<A: Apply>(apply: &A, db: &PgPool, changes: &[A::Change]) -> Vec<Result<()>> {
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        let answer = commit(apply, db, std::slice::from_ref(change)).await;
        answers.push(answer.and_then(|mut one| one.pop().unwrap_or(Ok(()))));
    }
    answers
}

/// Tries again while the database is away. `Apply` must make a repeat harmless: a commit whose answer was lost is
/// made twice.
async fn patiently<A: Apply>(
    apply: &A,
    db: &PgPool,
    changes: &[A::Change],
) -> Result<Vec<Result<()>>> {
    let began = std::time::Instant::now();
    let mut wait = Duration::from_millis(20);
    loop {
        match commit(apply, db, changes).await {
            Err(error) if error.is(UNAVAILABLE) && began.elapsed() < PATIENCE => {
                tracing::warn!(cause = error.chain(), "a commit failed; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
            outcome => return outcome,
        }
    }
}

async fn commit<A: Apply>(
    apply: &A,
    db: &PgPool,
    changes: &[A::Change],
) -> Result<Vec<Result<()>>> {
    let mut tx = db.begin().await?;
    let answers = apply.apply(&mut tx, changes).await?;
    tx.commit().await?;
    Ok(answers)
}
