//! Group commit: changes of many runs become one transaction, each is acknowledged after the commit. Changes under
//! one key keep their order, and keys take turns, so that one who writes much delays nobody else by more than a turn;
//! the queue is bounded in changes and in bytes, so a slow database slows its callers instead of filling memory.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::error::UNAVAILABLE;
use super::{Error, Result, Tasks};

/// What a change holds in memory while it waits.
pub trait Weigh {
    fn bytes(&self) -> usize;
}

/// How changes are written: all of a batch in the caller's transaction, one answer for each, in order.
pub trait Apply: Send + Sync + 'static {
    type Change: Weigh + Send + Sync + 'static;

    /// An `Err` rolls the batch back; then each change is tried alone, so that one bad change harms no other.
    fn apply<'a>(
        &'a self,
        tx: &'a mut sqlx::PgConnection,
        batch: &'a [Self::Change],
    ) -> impl Future<Output = Result<Vec<Result<()>>>> + Send + 'a;

    /// How much a change writes; a batch ends where it holds `WEIGHT_MAX`.
    fn weight(&self, _change: &Self::Change) -> usize {
        1
    }

    /// The change is durable, or never will be. Called before the acknowledgement, in order.
    fn settled(&self, change: &Self::Change, outcome: &Result<()>);
}

struct Queued<C> {
    key: u128,
    change: C,
    done: oneshot::Sender<Result<()>>,
    /// Its part of the bytes, given back when it is settled.
    room: Option<OwnedSemaphorePermit>,
}

/// Bytes are counted in these.
const GRAIN: usize = 1 << 10;

/// How much a writer takes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub lanes: usize,
    /// Changes in a transaction.
    pub batch: usize,
    /// Changes that wait in a lane.
    pub queue: usize,
    /// Bytes of all changes that wait or are being written. One that is larger alone takes them all.
    pub bytes: usize,
}

/// Rows of one batch: what is behind it waits for no more than these.
const WEIGHT_MAX: usize = 1_000;

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
    room: Arc<Semaphore>,
    grains: usize,
}

impl<C> Clone for Writer<C> {
    fn clone(&self) -> Self {
        Self {
            lanes: Arc::clone(&self.lanes),
            room: Arc::clone(&self.room),
            grains: self.grains,
        }
    }
}

impl<C: Weigh + Send + Sync + 'static> Writer<C> {
    pub fn start<A: Apply<Change = C>>(apply: A, db: &PgPool, tasks: &Tasks, shape: Shape) -> Self {
        let apply = Arc::new(apply);
        let lanes = (0..shape.lanes.max(1))
            .map(|_| {
                // The other half waits in the backlog, where keys take turns.
                let (send, receive) = mpsc::channel((shape.queue / 2).max(1));
                let written = write(Arc::clone(&apply), db.clone(), receive, shape.batch);
                tasks.spawn(written);
                send
            })
            .collect();
        let grains = shape.bytes.div_ceil(GRAIN).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            lanes,
            room: Arc::new(Semaphore::new(grains)),
            grains,
        }
    }

    /// Waits for room for so many bytes. Changes with the same `key` become durable in the order their slots were sent.
    pub async fn reserve(&self, key: u128, bytes: usize) -> Result<Slot<'_, C>> {
        let stopping = || Error::unavailable("The host is stopping.");
        let grains = bytes.div_ceil(GRAIN).clamp(1, self.grains);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(u32::try_from(grains).unwrap_or(u32::MAX))
            .await
            .map_err(|_| stopping())?;
        let lane = &self.lanes[(key % self.lanes.len() as u128) as usize];
        let place = lane.reserve().await.map_err(|_| stopping())?;
        Ok(Slot { key, place, room })
    }

    /// Queues a change.
    pub async fn push(&self, key: u128, change: C) -> Result<Durable> {
        Ok(self.reserve(key, change.bytes()).await?.send(change))
    }
}

/// Room in the queue: sending into it cannot wait, so what is numbered on sending leaves no gap when a caller is
/// dropped while it waits.
pub struct Slot<'a, C> {
    key: u128,
    place: mpsc::Permit<'a, Queued<C>>,
    room: OwnedSemaphorePermit,
}

impl<C> Slot<'_, C> {
    pub fn send(self, change: C) -> Durable {
        let (done, durable) = oneshot::channel();
        self.place.send(Queued {
            key: self.key,
            change,
            done,
            room: Some(self.room),
        });
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

/// Changes that were taken from the queue and are not written yet, by key.
struct Backlog<C> {
    changes: HashMap<u128, VecDeque<Queued<C>>>,
    /// Keys that have changes here, in the order of their turns.
    turns: VecDeque<u128>,
    len: usize,
}

impl<C> Backlog<C> {
    fn add(&mut self, queued: Queued<C>) {
        let changes = self.changes.entry(queued.key).or_default();
        if changes.is_empty() {
            self.turns.push_back(queued.key);
        }
        changes.push_back(queued);
        self.len += 1;
    }

    /// The change whose turn it is. Its key comes again after the others.
    fn next(&mut self) -> Option<Queued<C>> {
        let key = self.turns.pop_front()?;
        let changes = self.changes.get_mut(&key)?;
        let queued = changes.pop_front()?;
        if changes.is_empty() {
            self.changes.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        self.len -= 1;
        Some(queued)
    }
}

/// One lane: ends when every `Writer` is gone and the queue is empty, so a drain loses nothing.
async fn write<A: Apply>(
    apply: Arc<A>,
    db: PgPool,
    mut queue: mpsc::Receiver<Queued<A::Change>>,
    most: usize,
) {
    let mut backlog = Backlog {
        changes: HashMap::new(),
        turns: VecDeque::new(),
        len: 0,
    };
    loop {
        if backlog.len == 0 {
            match queue.recv().await {
                Some(queued) => backlog.add(queued),
                None => return,
            }
        }
        while backlog.len < queue.max_capacity()
            && let Ok(queued) = queue.try_recv()
        {
            backlog.add(queued);
        }
        let (mut changes, mut done, mut weight) = (Vec::new(), Vec::new(), 0);
        while changes.len() < most
            && weight < WEIGHT_MAX
            && let Some(queued) = backlog.next()
        {
            weight += apply.weight(&queued.change);
            changes.push(queued.change);
            done.push((queued.done, queued.room));
        }
        metrics::histogram!("bulkhead_commit_batch_changes").record(changes.len() as f64);
        let answers = match patiently(&*apply, &db, &changes).await {
            Ok(answers) => answers,
            Err(_) if changes.len() > 1 => one_by_one(&*apply, &db, &changes).await,
            Err(error) => vec![Err(error)],
        };
        for ((change, (done, room)), answer) in changes.iter().zip(done).zip(answers) {
            apply.settled(change, &answer);
            drop(room);
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

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use tokio::sync::oneshot;

    use super::{Backlog, Queued};

    #[test]
    fn keys_take_turns_and_keep_their_order() {
        let mut backlog = Backlog {
            changes: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
        };
        let written = [(1, 'a'), (1, 'b'), (1, 'c'), (2, 'd'), (1, 'e'), (3, 'f')];
        for (key, change) in written {
            let (done, _) = oneshot::channel();
            let room = None;
            backlog.add(Queued {
                key,
                change,
                done,
                room,
            });
        }
        assert_eq!(backlog.len, written.len());
        let order: String = std::iter::from_fn(|| backlog.next())
            .map(|queued| queued.change)
            .collect();
        assert_eq!(order, "adfbce");
        assert_eq!((backlog.len, backlog.changes.len()), (0, 0));
    }
}
