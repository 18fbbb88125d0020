//! The runs this node is running: how to stop one, and who listens to it. A listener gets events only after their
//! commit; one that does not keep up is cut off and resumes from the table. Readers on other nodes are told that there
//! is something to read, and only where there are any.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Stored;
use crate::runs::RunId;
use crate::runs::nodes::announce::Pending;
use crate::sandbox::host::{Meter, Place};

/// Events a listener may lag behind before it is cut off.
const LISTENER_EVENTS: usize = 256;

/// Why a run is stopped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    Cancelled,
    Deadline,
    /// The host is going away: the run goes on elsewhere.
    Shutdown,
    /// Another host has the run by now.
    Lost,
}

/// A stop that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Stopping {
    pub cause: StopCause,
    pub requested_at: OffsetDateTime,
}

/// A run of this node.
#[derive(Debug)]
pub struct Live {
    pub run: RunId,
    stop: watch::Sender<Option<Stopping>>,
    ended: watch::Sender<bool>,
    readers: Mutex<Readers>,
    /// A write of this run failed for good: nothing may be written after the gap.
    broken: AtomicBool,
    /// Another node has it.
    lost: AtomicBool,
    /// It may have written to its conversation's memory.
    remembers: AtomicBool,
    meter: OnceLock<Arc<Meter>>,
}

#[derive(Debug, Default)]
struct Readers {
    here: Vec<mpsc::Sender<Stored>>,
    /// Until when somebody reads on another node, and where to say that there is something to read.
    elsewhere: Option<(Instant, Arc<Pending<RunId>>)>,
}

impl Live {
    pub fn new(run: RunId) -> Arc<Self> {
        Arc::new(Self {
            run,
            stop: watch::Sender::new(None),
            ended: watch::Sender::new(false),
            readers: Mutex::default(),
            broken: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            remembers: AtomicBool::new(false),
            meter: OnceLock::new(),
        })
    }

    /// Where its guest is: in a host call, by its name, or `guest` where it computes or has not begun. None before a place
    /// was found for it.
    pub fn place(&self) -> Option<Place> {
        self.meter.get().map(|meter| meter.place())
    }

    /// Its guest says here where it is.
    pub(in crate::runs) fn at_work(&self, meter: &Arc<Meter>) {
        self.meter.get_or_init(|| Arc::clone(meter));
    }

    /// Asks the run to stop; the first cause stands.
    pub fn stop(&self, cause: StopCause, requested_at: OffsetDateTime) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(Stopping {
                cause,
                requested_at,
            });
            first
        });
    }

    /// Resolves when somebody asks the run to stop.
    pub async fn stopping(&self) -> Stopping {
        let mut stop = self.stop.subscribe();
        loop {
            if let Some(stopping) = *stop.borrow_and_update() {
                return stopping;
            }
            if stop.changed().await.is_err() {
                // The sender lives in `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves when the run's last event is durable; false where the run left this node before. Holds nothing of it.
    pub fn ended(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut ended = self.ended.subscribe();
        async move { ended.wait_for(|ended| *ended).await.is_ok() }
    }

    /// Listens to every event from now on. The channel closes after the last event, or when the listener lags.
    pub fn listen(&self) -> mpsc::Receiver<Stored> {
        let (send, receive) = mpsc::channel(LISTENER_EVENTS);
        let mut readers = lock(&self.readers);
        // Under the lock that the last event is published under: nobody listens to a run that has ended.
        if !*self.ended.borrow() {
            readers.here.push(send);
        }
        drop(readers);
        receive
    }

    /// Somebody on another node reads until then: what is committed is told through `news`.
    pub(in crate::runs) fn watched(&self, news: &Arc<Pending<RunId>>, until: Instant) {
        let known = lock(&self.readers)
            .elsewhere
            .replace((until, Arc::clone(news)));
        if known.is_none_or(|(until, _)| until <= Instant::now()) {
            // What was committed before this was told to nobody.
            news.put(self.run);
        }
    }

    pub(super) fn publish(&self, events: &[Stored]) {
        let Some(last) = events.last() else { return };
        let mut readers = lock(&self.readers);
        for event in events {
            readers
                .here
                .retain(|listener| listener.try_send(event.clone()).is_ok());
        }
        match &readers.elsewhere {
            Some((until, news)) if *until > Instant::now() => news.put(self.run),
            Some(_) => readers.elsewhere = None,
            None => {}
        }
        if last.is_last() {
            readers.here.clear();
            self.ended.send_replace(true);
        }
    }

    /// This node is done with a run that has not ended: listeners turn to the table.
    pub fn release(&self) {
        lock(&self.readers).here.clear();
    }

    /// Another node has the run: what is left of it here stops.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.stop(StopCause::Lost, OffsetDateTime::UNIX_EPOCH);
    }

    /// It writes to the memory of its conversation.
    pub(in crate::runs) fn remember(&self) {
        self.remembers.store(true, Ordering::Relaxed);
    }

    pub(in crate::runs) fn remembers(&self) -> bool {
        self.remembers.load(Ordering::Relaxed)
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(in crate::runs) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Every run of this node that has not ended.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<HashMap<RunId, Arc<Live>>>>);

impl Registry {
    pub fn insert(&self, live: &Arc<Live>) {
        lock(&self.0).insert(live.run, Arc::clone(live));
    }

    /// Forgets this life of the run; where it has begun another one here, that one stays.
    pub fn remove(&self, live: &Arc<Live>) {
        let mut runs = lock(&self.0);
        if runs
            .get(&live.run)
            .is_some_and(|known| Arc::ptr_eq(known, live))
        {
            runs.remove(&live.run);
        }
    }

    pub fn get(&self, run: RunId) -> Option<Arc<Live>> {
        lock(&self.0).get(&run).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Live>> {
        lock(&self.0).values().cloned().collect()
    }

    pub fn len(&self) -> usize {
        lock(&self.0).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
