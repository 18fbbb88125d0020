//! Executing a run: wait for a place, link, put the guest into its slot, and watch. Whatever happens first — the
//! guest's own end, a stop, the deadline, a long wait — decides; the guest is gone before anything is written of it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

use super::traced;
use crate::agents::{Resolved, Settings};
use crate::billing;
use crate::kit::error::UNAVAILABLE;
use crate::kit::trace::Span;
use crate::kit::{Error, Result, clock};
use crate::limits::Effective;
use crate::runs::imports::Guest;
use crate::runs::journal::Past;
use crate::runs::log::{Change, Record, StopCause, Stopping};
use crate::runs::start::{Admitted, Message, Place, Role};
use crate::runs::store::NewRow;
use crate::runs::{RunId, Runs, Usage};
use crate::sandbox::bindings::bulkhead::agent::types;
use crate::sandbox::host::IN_GUEST;
use crate::sandbox::wasi::Log;
use crate::sandbox::{AgentPre, Fault, Host, Limits, Meter, Running, invoke};

/// How long a run waits before it asks a full engine again.
pub const FULL_PAUSE: Duration = Duration::from_millis(20);

/// How long it waits before it asks a database that is away again.
const LOAD_PAUSE: Duration = Duration::from_millis(200);

/// Where a run is that waits for a place.
pub const QUEUED: &str = "queued";

/// A run to execute.
#[derive(Debug)]
pub struct Work {
    pub row: NewRow,
    pub resolved: Resolved,
    /// What binds it, its own fuel and deadline apart.
    pub limits: Arc<Effective>,
    pub messages: Vec<Message>,
    pub record: Arc<Record>,
    /// What the guest used, readable while it runs.
    pub meter: Arc<Meter>,
    pub tokens: billing::Meter,
    /// What may forbid it another generation.
    pub gate: billing::Gate,
    /// What earlier lives of the run left.
    pub past: Past,
    /// What they are known to have used: this life counts anew, and may not come as far.
    pub used: Usage,
    /// Where it is until it has a place.
    pub waits: &'static str,
    /// Its stop was not effective in time.
    pub escalated: AtomicBool,
    /// This life in the run's trace.
    pub span: Span,
}

impl Work {
    pub fn new(
        row: NewRow,
        (resolved, limits): (Resolved, Arc<Effective>),
        messages: Vec<Message>,
        record: Arc<Record>,
    ) -> Self {
        let meter = Meter::new(row.created_at);
        record.live.at_work(&meter);
        Self {
            row,
            resolved,
            limits,
            messages,
            record,
            meter,
            tokens: billing::Meter::default(),
            gate: billing::Gate::open(),
            past: Past::default(),
            used: Usage::default(),
            waits: QUEUED,
            escalated: AtomicBool::new(false),
            span: Span::default(),
        }
    }
}

/// How a guest's life ended.
#[derive(Debug)]
pub enum Ended {
    Returned(Result<types::Outcome, types::Failure>),
    Faulted(Fault),
    Stopped(Stopped),
    /// The host could not run it; the cause is in the log.
    Lost(Error),
    /// It is not run again, for a reason a reader may see.
    Refused(String),
}

/// What a life of a run comes to.
enum Outcome {
    /// The run has ended.
    Ended(Ended),
    /// It goes on later, or elsewhere.
    Leaves { wake_at: Option<OffsetDateTime> },
    /// Another host has it.
    Lost,
}

/// A stop that took effect.
#[derive(Debug)]
pub struct Stopped {
    pub cause: StopCause,
    pub requested_at: OffsetDateTime,
    pub observed_at: OffsetDateTime,
    pub stopped_at: OffsetDateTime,
    /// Where the run was.
    pub place: &'static str,
}

impl Runs {
    /// A run's whole life after its first event is durable.
    pub(in crate::runs) async fn execute(&self, work: Work, admitted: Admitted) {
        let (ended, log) = self.run_to_end(&work, admitted).await;
        match outcome(ended) {
            Outcome::Ended(ended) => self.finish(&work, ended, log.as_ref()).await,
            Outcome::Leaves { wake_at } => self.let_go(&work, wake_at).await,
            Outcome::Lost => traced::left(&work, "lost"),
        }
        self.inner.live.remove(&work.record.live);
        work.record.live.release();
    }

    async fn run_to_end(&self, work: &Work, admitted: Admitted) -> (Ended, Option<Log>) {
        let _place = match self
            .unless_stopped(work, work.waits, self.place(work, admitted))
            .await
        {
            Ok(Ok(place)) => place,
            Ok(Err(error)) => return (Ended::Lost(error), None),
            Err(stopped) => return (Ended::Stopped(stopped), None),
        };
        let (pre, settings) = match self
            .unless_stopped(work, "compiling", self.load(work))
            .await
        {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => return (Ended::Lost(error), None),
            Err(stopped) => return (Ended::Stopped(stopped), None),
        };
        loop {
            let guest = self.guest(work, &settings);
            let log = guest.host.log().clone();
            match self.call(work, pre.clone(), guest).await {
                // Another tenant's guests hold what this one needs beyond its slot: memories, tables.
                Ended::Faulted(Fault::Full) => {
                    let pause = tokio::time::sleep(FULL_PAUSE);
                    if let Err(stopped) = self.unless_stopped(work, QUEUED, pause).await {
                        return (Ended::Stopped(stopped), None);
                    }
                }
                ended => return (ended, Some(log)),
            }
        }
    }

    /// The linked version and its settings. While the database is away it is asked for again, for as long as the run may
    /// take.
    async fn load(&self, work: &Work) -> Result<(AgentPre<Guest>, Arc<Settings>)> {
        let (imports, agents) = (&self.inner.imports, &self.inner.agents);
        let (org, resolved) = (work.row.org, &work.resolved);
        loop {
            let loaded = async {
                let pre = imports.pre(agents, resolved.digest).await?;
                Ok::<_, Error>((pre, agents.settings(org, resolved).await?))
            };
            match loaded.await {
                Err(error) if error.is(UNAVAILABLE) => {
                    tracing::warn!(run = %work.row.run, cause = error.chain(), "a version could not be loaded; trying again");
                    tokio::time::sleep(LOAD_PAUSE).await;
                }
                loaded => return loaded,
            }
        }
    }

    /// One guest, from its slot to its end.
    async fn call(&self, work: &Work, pre: AgentPre<Guest>, guest: Guest) -> Ended {
        let sandbox = self.inner.sandbox.clone();
        let tenant = work.row.org.0.as_u128();
        let turn = turn(work.row.run, work.row.created_at, &work.messages);
        let call = invoke::run(sandbox, pre, guest, turn, self.wall(work));
        let mut running = self
            .inner
            .scheduler
            .spawn(tenant, Arc::clone(&work.meter), call);
        tokio::select! {
            biased;
            stopping = self.stopping(work) => {
                let observed_at = self.inner.clock.now();
                let place = work.meter.place();
                running.stop();
                self.gone(work, &mut running).await;
                Ended::Stopped(self.stopped(stopping, observed_at, place))
            }
            value = running.wait() => match value {
                Some(Ok(returned)) => Ended::Returned(returned),
                Some(Err(fault)) => Ended::Faulted(fault),
                None => Ended::Lost(Error::internal("the guest's future panicked")),
            }
        }
    }

    /// Waits until a stopped guest is gone. One slice is what a stop takes; a guest that is there much longer is the
    /// host's own fault, and the host stops taking work.
    async fn gone<T>(&self, work: &Work, running: &mut Running<T>) {
        let soon = Duration::from_millis(self.inner.config.stop_effective_ms);
        if tokio::time::timeout(soon, running.wait()).await.is_err() {
            tracing::error!(run = %work.row.run, place = work.meter.place(), "a stop is not effective; this host drains");
            work.escalated.store(true, Ordering::Relaxed);
            self.inner.escalated.send_replace(true);
            running.wait().await;
        }
    }

    /// The place the run was admitted with, or the one it waits for.
    async fn place(&self, work: &Work, admitted: Admitted) -> Result<Place> {
        match admitted {
            Admitted::Now(place) => Ok(place),
            Admitted::Later(queued) => {
                let place = queued.place().await?;
                let (key, live) = (work.record.key, Arc::clone(&work.record.live));
                let change = Change::Running { key, live };
                self.inner
                    .writer
                    .push(key.run.0.as_u128(), change)
                    .await?
                    .wait()
                    .await?;
                Ok(place)
            }
        }
    }

    fn guest(&self, work: &Work, settings: &Arc<Settings>) -> Guest {
        let limits = Limits {
            fuel: u64::try_from(work.row.fuel_max).unwrap_or(0),
            ..work.limits.sandbox.clone()
        };
        let host = Host::new(limits, Arc::clone(&work.meter), work.row.seed);
        let tasks = &self.inner.tasks;
        self.inner.capabilities.guest(host, (work, settings), tasks)
    }

    /// Does `work`, unless the run is stopped first.
    async fn unless_stopped<T>(
        &self,
        work: &Work,
        place: &'static str,
        what: impl Future<Output = T>,
    ) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            stopping = self.stopping(work) => Err(self.stopped(stopping, self.inner.clock.now(), place)),
            value = what => Ok(value),
        }
    }

    /// Resolves when the run is to stop: somebody asks, or its time is up.
    async fn stopping(&self, work: &Work) -> Stopping {
        tokio::select! {
            biased;
            stopping = work.record.live.stopping() => stopping,
            () = tokio::time::sleep(self.wall(work)) => {
                Stopping { cause: StopCause::Deadline, requested_at: work.row.deadline_at }
            }
        }
    }

    fn stopped(
        &self,
        stopping: Stopping,
        observed_at: OffsetDateTime,
        place: &'static str,
    ) -> Stopped {
        Stopped {
            cause: stopping.cause,
            requested_at: stopping.requested_at,
            observed_at,
            stopped_at: self.inner.clock.now(),
            place,
        }
    }

    /// What is left of the run's time.
    fn wall(&self, work: &Work) -> Duration {
        (work.row.deadline_at - self.inner.clock.now())
            .try_into()
            .unwrap_or(Duration::ZERO)
    }
}

fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ended::Faulted(Fault::Away(away)) => Outcome::Leaves {
            wake_at: Some(away.until),
        },
        Ended::Stopped(stopped) if stopped.cause == StopCause::Shutdown => {
            Outcome::Leaves { wake_at: None }
        }
        Ended::Stopped(stopped) if stopped.cause == StopCause::Lost => Outcome::Lost,
        ended => Outcome::Ended(ended),
    }
}

/// What the guest is given; the same in every life of the run, and in its replays.
pub fn turn(run: RunId, created_at: OffsetDateTime, messages: &[Message]) -> types::Turn {
    let messages = messages
        .iter()
        .map(|message| types::Message {
            speaker: match message.role {
                Role::User => types::Speaker::User,
                Role::Assistant => types::Speaker::Assistant,
            },
            text: message.text.clone(),
        })
        .collect();
    types::Turn {
        run: run.to_string(),
        messages,
        started_at: clock::epoch_ms(created_at),
    }
}

/// What a stop cut off, in words for the receipt.
pub fn in_flight(place: &'static str) -> Vec<String> {
    match place {
        IN_GUEST | QUEUED | "compiling" | "finishing" => Vec::new(),
        call => vec![call.to_owned()],
    }
}
