//! The seam every outside answer passes: the record of an earlier life of the run, or the outside and then the
//! record. Capabilities ask through this trait; `runs/journal` is what stands behind it. What changes the world or
//! costs money needs an `Intent`, which exists only once everything before it is durable.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;

use crate::kit::Code;
use crate::kit::commit::Committed;

/// The run asked, or said, something else than in its earlier life, or its record cannot be read.
pub const DIVERGED: Code = Code::new("diverged", 500, "The run differs from its journal");

/// Permission to ask the outside, and the place in the journal its answer goes to.
pub struct Ticket {
    pub seq: i32,
    pub kind: &'static str,
    pub request: Value,
    /// Fuel used when the call began.
    pub fuel_before: u64,
    pub started_at: OffsetDateTime,
    /// Where an answer goes whose run ends before it is complete.
    pub left: Option<Arc<dyn Left>>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket")
            .field("seq", &self.seq)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    /// Records what was taken so far, without waiting: the guest is being dropped. It goes with the run's end, or is
    /// forgotten where the run goes on elsewhere and asks again.
    pub fn leave(mut self, response: Value, ok: bool) {
        if let Some(left) = self.left.take() {
            left.leave(self, response, ok);
        }
    }
}

/// Keeps incomplete answers of a guest that is being dropped.
pub trait Left: Send + Sync {
    fn leave(&self, ticket: Ticket, response: Value, ok: bool);
}

/// Permission to do what cannot be taken back: its intent, and every answer before it, is durable.
#[derive(Debug)]
pub struct Intent {
    ticket: Ticket,
    key: String,
}

impl Intent {
    /// `key` names the effect in every life of the run, for receivers that know repeats by a key.
    pub fn new(ticket: Ticket, key: String, _proof: Committed) -> Self {
        Self { ticket, key }
    }

    /// Its place in the journal.
    pub fn seq(&self) -> i32 {
        self.ticket.seq
    }

    pub fn idempotency_key(&self) -> &str {
        &self.key
    }

    pub fn into_ticket(self) -> Ticket {
        self.ticket
    }
}

/// What asking a second time would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Nothing: it goes on from when it was first asked.
    Continues,
    /// It costs again, and is asked again where its host died. A lost attempt counts with so many input tokens.
    Costs { input_tokens: u64 },
    /// It would change the world twice, but the receiver knows a repeat by its key.
    Keyed,
    /// It would change the world twice: where its host died, nobody knows what came of it.
    Unsafe,
}

/// A recorded answer.
#[derive(Debug)]
pub struct Answered {
    pub seq: i32,
    pub response: Value,
    /// What the frozen clock says from then on.
    pub ended_at: OffsetDateTime,
}

/// What a call finds.
#[derive(Debug)]
pub enum Begun {
    /// The run was here before: this is what it was answered. `arrive` when the guest has it.
    Recorded(Answered),
    /// Nobody was here before: ask, then `end` with the ticket.
    Live(Ticket),
}

/// What an effect finds.
#[derive(Debug)]
pub enum Intended {
    Recorded(Answered),
    /// Go on: do it, then `end` with the intent's ticket.
    Granted(Intent),
    /// It was begun in an earlier life, and what came of it is not known. `end` with the ticket records what the guest is told.
    Indeterminate(Ticket),
}

/// Where answers come from. An `Err` ends the run.
pub trait Journal: Send {
    /// For what only reads. `kind` and `request` must be the same at the same place in every life of a run.
    fn begin<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
    ) -> BoxFuture<'a, wasmtime::Result<Begun>>;

    /// For effects: returns once the intent and everything before it is durable.
    fn intend<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
        repeat: Repeat,
    ) -> BoxFuture<'a, wasmtime::Result<Intended>>;

    /// Records what the outside answered; the frozen clock moves to the time it was recorded.
    fn end<'a>(
        &'a mut self,
        ticket: Ticket,
        response: Value,
        ok: bool,
    ) -> BoxFuture<'a, wasmtime::Result<()>>;

    /// The guest has a recorded answer: the frozen clock moves to when it was recorded.
    fn arrive(&mut self, ended_at: OffsetDateTime);

    /// Tickets that were given and have not ended.
    fn pending(&self) -> usize;
}

/// One read, whole: the recorded answer, or the one `perform` brings, recorded as `{"ok": …}` or `{"err": …}`.
pub async fn answer<Q, A, E>(
    journal: &mut dyn Journal,
    kind: &'static str,
    request: &Q,
    perform: impl Future<Output = Result<A, E>> + Send,
) -> wasmtime::Result<Result<A, E>>
where
    Q: Serialize + Sync,
    A: Serialize + DeserializeOwned + Send + Sync,
    E: Serialize + DeserializeOwned + Send + Sync,
{
    let request = serde_json::to_value(request)?;
    match journal.begin(kind, request).await? {
        Begun::Recorded(answered) => recorded(journal, answered),
        Begun::Live(ticket) => conclude(journal, ticket, perform.await).await,
    }
}

/// One effect, whole: `perform` is called with its intent, at most once in all lives of the run unless `repeat` allows
/// more. `indeterminate` is what the guest is told where nobody knows.
pub async fn effect<Q, A, E, F>(
    journal: &mut dyn Journal,
    (kind, repeat): (&'static str, Repeat),
    request: &Q,
    perform: impl FnOnce(&Intent) -> F + Send,
    indeterminate: E,
) -> wasmtime::Result<Result<A, E>>
where
    Q: Serialize + Sync,
    A: Serialize + DeserializeOwned + Send + Sync,
    E: Serialize + DeserializeOwned + Send + Sync,
    F: Future<Output = Result<A, E>> + Send,
{
    let request = serde_json::to_value(request)?;
    match journal.intend(kind, request, repeat).await? {
        Intended::Recorded(answered) => recorded(journal, answered),
        Intended::Indeterminate(ticket) => conclude(journal, ticket, Err(indeterminate)).await,
        Intended::Granted(intent) => {
            let result = perform(&intent).await;
            conclude(journal, intent.into_ticket(), result).await
        }
    }
}

fn recorded<A, E>(journal: &mut dyn Journal, answered: Answered) -> wasmtime::Result<Result<A, E>>
where
    A: DeserializeOwned,
    E: DeserializeOwned,
{
    let recorded: Recorded<A, E> = serde_json::from_value(answered.response).map_err(unreadable)?;
    journal.arrive(answered.ended_at);
    Ok(recorded.into())
}

/// The guest takes more of an answer than its record holds.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("diverged: the guest takes more of a generation than its earlier life took")]
pub struct TookMore;

/// A record that does not fit its run.
pub fn unreadable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> wasmtime::Error {
    let error = DIVERGED.because("A recorded answer cannot be read.");
    wasmtime::Error::new(error.caused_by(cause))
}

async fn conclude<A, E>(
    journal: &mut dyn Journal,
    ticket: Ticket,
    result: Result<A, E>,
) -> wasmtime::Result<Result<A, E>>
where
    A: Serialize + Send + Sync,
    E: Serialize + Send + Sync,
{
    let recorded: Recorded<A, E> = result.into();
    let ok = matches!(recorded, Recorded::Ok(_));
    journal
        .end(ticket, serde_json::to_value(&recorded)?, ok)
        .await?;
    Ok(recorded.into())
}

#[derive(Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Recorded<A, E> {
    Ok(A),
    Err(E),
}

impl<A, E> From<Result<A, E>> for Recorded<A, E> {
    fn from(result: Result<A, E>) -> Self {
        match result {
            Ok(answer) => Self::Ok(answer),
            Err(error) => Self::Err(error),
        }
    }
}

impl<A, E> From<Recorded<A, E>> for Result<A, E> {
    fn from(recorded: Recorded<A, E>) -> Self {
        match recorded {
            Recorded::Ok(answer) => Ok(answer),
            Recorded::Err(error) => Err(error),
        }
    }
}
