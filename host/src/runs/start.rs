//! Starting a run: check the input, resolve the version, take a place or queue, then one durable write of run and
//! first event. Nothing is written for a request that is refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use utoipa::ToSchema;
use uuid::Uuid;

use super::execute::Work;
use super::log::{Change, Event, Live, Record, stream::Stream};
use super::store::NewRow;
use super::{Config, RunId, Runs};
use crate::agents::Resolved;
use crate::identity::Caller;
use crate::kit::{Code, Error, OrgId, Result};

pub const INPUT_REFUSED: Code = Code::new("input_refused", 422, "The run's input is not usable");
pub const QUEUE_FULL: Code = Code::new("queue_full", 429, "Too many runs are waiting");

const METADATA_MAX: usize = 16 << 10;
const MESSAGES_MAX: usize = 1_000;

/// A run to start.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRun {
    pub input: Input,
    /// A version's number; the stable one where absent.
    pub version: Option<i32>,
    /// `stable`, the only channel there is; not together with `version`.
    pub channel: Option<String>,
    /// At least 1; the host's limit where absent or larger is refused.
    pub deadline_ms: Option<u64>,
    pub max_fuel: Option<u64>,
    /// Kept with the run and shown again; at most 16 KiB.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What the run is asked: a text, or the conversation so far with the message to answer last.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "`input` must be a text or a list of {role, text} with role user or assistant"
)]
pub enum Input {
    Text(String),
    Messages(Vec<Message>),
}

/// One message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub role: Role,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Assistant,
}

/// A run just made, and its events from the first.
#[derive(Debug)]
pub struct Started {
    pub run: RunId,
    pub live: Arc<Live>,
    pub events: Stream,
}

/// Places for runs: of the host, and of each organization, so that one's backlog does not delay another's.
#[derive(Debug)]
pub struct Admission {
    host: Arc<Semaphore>,
    orgs: Mutex<HashMap<OrgId, Weak<Org>>>,
    per_org: usize,
    waiting: Arc<AtomicU32>,
    waiting_max: u32,
    waiting_max_per_org: u32,
}

/// One organization's part of the host, while it has runs.
#[derive(Debug)]
struct Org {
    places: Arc<Semaphore>,
    waiting: AtomicU32,
}

/// A place of the host and of the organization; given back when dropped.
#[derive(Debug)]
pub struct Place {
    _account: Arc<Org>,
    _org: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

/// Either a place, or a seat in the queue.
#[derive(Debug)]
pub enum Admitted {
    Now(Place),
    Later(Queued),
}

/// A seat in the queue; given back when dropped.
#[derive(Debug)]
pub struct Queued {
    host: Arc<Semaphore>,
    org: Arc<Org>,
    waiting: Arc<AtomicU32>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.org.waiting.fetch_sub(1, Ordering::Relaxed);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queued {
    /// Waits for a place: first the organization's, then the host's.
    pub async fn place(&self) -> Result<Place> {
        let closed = || Error::unavailable("The host is stopping.");
        let org = Arc::clone(&self.org.places)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let host = Arc::clone(&self.host)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        Ok(Place {
            _account: Arc::clone(&self.org),
            _org: org,
            _host: host,
        })
    }
}

impl Admission {
    pub fn new(config: &Config) -> Self {
        Self {
            host: Arc::new(Semaphore::new(config.concurrent as usize)),
            orgs: Mutex::default(),
            per_org: config.concurrent_per_org as usize,
            waiting: Arc::default(),
            waiting_max: config.queued,
            waiting_max_per_org: config.queued_per_org,
        }
    }

    fn admit(&self, org: OrgId) -> Result<Admitted> {
        let org = self.org(org);
        if let Ok(org_place) = Arc::clone(&org.places).try_acquire_owned()
            && let Ok(host_place) = Arc::clone(&self.host).try_acquire_owned()
        {
            return Ok(Admitted::Now(Place {
                _account: org,
                _org: org_place,
                _host: host_place,
            }));
        }
        let seat = Queued {
            host: Arc::clone(&self.host),
            org,
            waiting: Arc::clone(&self.waiting),
        };
        // Both are counted before either is judged: dropping the seat takes both back.
        let of_org = seat.org.waiting.fetch_add(1, Ordering::Relaxed);
        let of_all = self.waiting.fetch_add(1, Ordering::Relaxed);
        if of_all >= self.waiting_max || of_org >= self.waiting_max_per_org {
            return Err(QUEUE_FULL
                .because("Every place is taken and the queue is full; try again.")
                .retry_after(Duration::from_secs(1)));
        }
        Ok(Admitted::Later(seat))
    }

    fn org(&self, org: OrgId) -> Arc<Org> {
        let mut orgs = self.orgs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = orgs.get(&org).and_then(Weak::upgrade) {
            return known;
        }
        orgs.retain(|_, known| known.strong_count() > 0);
        let account = Arc::new(Org {
            places: Arc::new(Semaphore::new(self.per_org)),
            waiting: AtomicU32::new(0),
        });
        orgs.insert(org, Arc::downgrade(&account));
        account
    }
}

impl Runs {
    /// Starts a run of `agent`. `id` is given where the request may be a repeat.
    pub async fn start(
        &self,
        caller: &Caller,
        agent: &str,
        new: NewRun,
        id: Option<Uuid>,
    ) -> Result<Started> {
        let messages = self.check(&new)?;
        let resolved = self
            .inner
            .agents
            .resolve(caller, agent, new.version)
            .await?;
        let admitted = self.inner.admission.admit(caller.org)?;
        let run: RunId = id.map_or_else(|| self.inner.ids.next(), RunId);
        let live = Live::new(run);
        let events = Stream::from_birth(self.inner.db.clone(), (caller.org, run), &live);
        let row = self.row(caller, &resolved, &new, (run, &messages, &admitted))?;
        let started = Event::Started {
            run,
            agent: agent.to_owned(),
            version: resolved.version,
            channel: resolved.channel.map(str::to_owned),
        };
        let started = started.store(1, row.created_at)?;
        let key = row.key();
        let record = Record::new(
            key,
            Arc::clone(&live),
            1,
            (self.inner.writer.clone(), self.inner.clock.clone()),
        );
        let work = Work::new(row.clone(), resolved, messages, record);
        let begin = Change::Begin {
            live: Arc::clone(&live),
            row: Box::new(row),
            started,
        };
        self.inner.live.insert(&live);
        // A task of its own: a client that goes away now must not leave a run that nobody executes.
        let (tell, told) = oneshot::channel();
        let runs = self.clone();
        self.inner
            .tasks
            .spawn(async move { runs.begin(begin, work, admitted, tell).await });
        told.await
            .map_err(|_| Error::unavailable("The host is stopping."))??;
        Ok(Started { run, live, events })
    }

    /// Makes the run durable, says so, and executes it.
    async fn begin(
        &self,
        begin: Change,
        work: Work,
        admitted: Admitted,
        tell: oneshot::Sender<Result<()>>,
    ) {
        let run = work.row.run;
        let durable = match self.inner.writer.push(run.0.as_u128(), begin).await {
            Ok(durable) => durable.wait().await,
            Err(error) => Err(error),
        };
        let begun = durable.is_ok();
        // A client that is gone hears nothing; its run goes on.
        let _ = tell.send(durable);
        if !begun {
            self.inner.live.remove(run);
            return;
        }
        metrics::counter!("bulkhead_runs_started_total").increment(1);
        self.execute(work, admitted).await;
    }

    fn row(
        &self,
        caller: &Caller,
        resolved: &Resolved,
        new: &NewRun,
        (run, messages, admitted): (RunId, &[Message], &Admitted),
    ) -> Result<NewRow> {
        let now = self.inner.clock.now();
        let wall = new.deadline_ms.unwrap_or(self.inner.config.wall_ms);
        let fuel = new
            .max_fuel
            .unwrap_or(self.inner.sandbox.config().limits.fuel);
        Ok(NewRow {
            org: caller.org,
            run,
            agent: resolved.agent,
            version: resolved.version,
            channel: resolved.channel.map(str::to_owned),
            state: if matches!(admitted, Admitted::Now(_)) {
                "running"
            } else {
                "queued"
            },
            input: serde_json::to_string(&serde_json::json!({ "messages": messages }))?,
            metadata: new
                .metadata
                .as_ref()
                .map(serde_json::to_string)
                .transpose()?,
            seed: self.inner.ids.random().bytes(),
            deadline_at: now + Duration::from_millis(wall),
            fuel_max: i64::try_from(fuel).unwrap_or(i64::MAX),
            node: self.inner.node,
            created_by: caller.key,
            created_at: now,
        })
    }

    /// Every fault of the request as one problem; the messages where there is none.
    fn check(&self, new: &NewRun) -> Result<Vec<Message>> {
        let (config, limits) = (&self.inner.config, &self.inner.sandbox.config().limits);
        let mut faults = INPUT_REFUSED.because("The run cannot be started as it was asked for.");
        let messages = match &new.input {
            Input::Text(text) => vec![Message {
                role: Role::User,
                text: text.clone(),
            }],
            Input::Messages(messages) => messages.clone(),
        };
        let bytes: usize = messages.iter().map(|message| message.text.len()).sum();
        match messages.last() {
            None => faults = faults.field("/input", "say something: the list is empty"),
            Some(last) if last.role != Role::User => {
                faults = faults.field("/input", "the last message must be the user's");
            }
            Some(last) if last.text.trim().is_empty() => {
                faults = faults.field("/input", "say something: the text is empty");
            }
            Some(_) => {}
        }
        if messages.len() > MESSAGES_MAX {
            faults = faults.field("/input", format!("at most {MESSAGES_MAX} messages"));
        }
        if bytes > config.input_bytes {
            faults = faults.field(
                "/input",
                format!("{bytes} bytes of text; at most {}", config.input_bytes),
            );
        }
        if new
            .deadline_ms
            .is_some_and(|ms| ms == 0 || ms > config.wall_ms)
        {
            faults = faults.field("/deadline_ms", format!("must be 1 to {}", config.wall_ms));
        }
        if new
            .max_fuel
            .is_some_and(|fuel| fuel == 0 || fuel > limits.fuel)
        {
            faults = faults.field("/max_fuel", format!("must be 1 to {}", limits.fuel));
        }
        if new
            .channel
            .as_deref()
            .is_some_and(|channel| channel != crate::agents::channels::STABLE)
        {
            faults = faults.field("/channel", "there is only `stable`");
        }
        if new.channel.is_some() && new.version.is_some() {
            faults = faults.field("/channel", "name a channel or a version, not both");
        }
        let metadata = new
            .metadata
            .as_ref()
            .map(serde_json::to_string)
            .transpose()?;
        if metadata.is_some_and(|text| text.len() > METADATA_MAX) {
            faults = faults.field("/metadata", format!("at most {METADATA_MAX} bytes of JSON"));
        }
        if faults.fields.is_empty() {
            Ok(messages)
        } else {
            Err(faults)
        }
    }
}
