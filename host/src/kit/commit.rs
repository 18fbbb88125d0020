//! Group commit: changes of many runs become one transaction, each is acknowledged after the commit. Changes under
//! one key keep their order; tenants take turns, and a tenant's keys do, so that one who writes much delays nobody else
//! by more than a turn; the queue is bounded in changes and in bytes, so a slow database slows its callers instead of filling memory.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;

use sqlx::{Connection as _, PgPool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{Error, Result, Tasks, db};

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

    /// Whose change it is.
    fn tenant(&self, _change: &Self::Change) -> u128 {
        0
    }

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

/// Changes that were taken from the queue and are not written yet, by tenant and key.
struct Backlog<C> {
    tenants: HashMap<u128, Keys<C>>,
    /// Tenants that have changes here, in the order of their turns.
    turns: VecDeque<u128>,
    len: usize,
}

/// One tenant's changes.
struct Keys<C> {
    changes: HashMap<u128, VecDeque<Queued<C>>>,
    turns: VecDeque<u128>,
}

impl<C> Backlog<C> {
    fn new() -> Self {
        Self {
            tenants: HashMap::new(),
            turns: VecDeque::new(),
            len: 0,
        }
    }

    fn add(&mut self, tenant: u128, queued: Queued<C>) {
        let keys = self.tenants.entry(tenant).or_insert_with(|| {
            self.turns.push_back(tenant);
            Keys {
                changes: HashMap::new(),
                turns: VecDeque::new(),
            }
        });
        let changes = keys.changes.entry(queued.key).or_default();
        if changes.is_empty() {
            keys.turns.push_back(queued.key);
        }
        changes.push_back(queued);
        self.len += 1;
    }

    /// The change whose turn it is. Its tenant comes again after the others, and its key after the tenant's others.
    fn next(&mut self) -> Option<Queued<C>> {
        let tenant = self.turns.pop_front()?;
        let keys = self.tenants.get_mut(&tenant)?;
        let key = keys.turns.pop_front()?;
        let changes = keys.changes.get_mut(&key)?;
        let queued = changes.pop_front()?;
        if changes.is_empty() {
            keys.changes.remove(&key);
        } else {
            keys.turns.push_back(key);
        }
        if keys.turns.is_empty() {
            self.tenants.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        self.len -= 1;
        Some(queued)
    }
}

/// One lane: ends when every `Writer` is gone and the queue is empty, so a drain loses nothing.
async fn write<A: Apply>(
    apply: Arc<A>,
    pool: PgPool,
    mut queue: mpsc::Receiver<Queued<A::Change>>,
    most: usize,
) {
    let mut backlog = Backlog::new();
    loop {
        if backlog.len == 0 {
            match queue.recv().await {
                Some(queued) => backlog.add(apply.tenant(&queued.change), queued),
                None => return,
            }
        }
        while backlog.len < queue.max_capacity()
            && let Ok(queued) = queue.try_recv()
        {
            backlog.add(apply.tenant(&queued.change), queued);
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
        let answers = match db::patiently("a commit", async || {
            commit(&*apply, &pool, &changes).await
        })
        .await
        {
            Ok(answers) => answers,
            Err(_) if changes.len() > 1 => one_by_one(&*apply, &pool, &changes).await,
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

async fn one_by_one<A: Apply>(apply: &A, pool: &PgPool, changes: &[A::Change]) -> Vec<Result<()>> {
    let mut answers = Vec::with_capacity(changes.len());
    for change in changes {
        let answer = commit(apply, pool, std::slice::from_ref(change)).await;
        answers.push(answer.and_then(|mut one| one.pop().unwrap_or(Ok(()))));
    }
    answers
}

/// What a batch does is the same whatever is in it: each statement is planned once for a connection, not once for each
/// batch. In the words that begin the transaction, so that it costs no round trip.
const BEGIN: &str = "begin; set local plan_cache_mode = force_generic_plan";

/// One transaction. `Apply` must make a repeat harmless: a commit whose answer was lost is made twice.
async fn commit<A: Apply>(
    apply: &A,
    pool: &PgPool,
    changes: &[A::Change],
) -> Result<Vec<Result<()>>> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with(BEGIN).await?;
    let answers = apply.apply(&mut tx, changes).await?;
    tx.commit().await?;
    let bytes: usize = changes.iter().map(Weigh::bytes).sum();
    if bytes > db::BURST {
        connection.shrink_buffers();
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::{Backlog, Queued};

    fn order(written: &[(u128, u128, char)]) -> String {
        let mut backlog = Backlog::new();
        for &(tenant, key, change) in written {
            let (done, _) = oneshot::channel();
            let queued = Queued {
                key,
                change,
                done,
                room: None,
            };
            backlog.add(tenant, queued);
        }
        assert_eq!(backlog.len, written.len());
        let order = std::iter::from_fn(|| backlog.next()).map(|queued| queued.change);
        let order = order.collect();
        assert_eq!((backlog.len, backlog.tenants.len()), (0, 0));
        order
    }

    #[test]
    fn keys_take_turns_and_keep_their_order() {
        let written = [(1, 'a'), (1, 'b'), (1, 'c'), (2, 'd'), (1, 'e'), (3, 'f')];
        assert_eq!(
            order(&written.map(|(key, change)| (0, key, change))),
            "adfbce"
        );
    }

    #[test]
    fn a_tenant_of_many_keys_has_one_tenants_turn() {
        let mut written: Vec<_> = (1..=4).map(|key| (1, key, 'x')).collect();
        written.extend([(2, 9, 'a'), (2, 9, 'b')]);
        assert_eq!(order(&written), "xaxbxx");
    }
}
