//! The seam every outside answer passes: the record of an earlier life of the run, or the outside and then the
//! record. Capabilities ask through this trait; `runs/journal.rs` is what stands behind it.

use std::future::Future;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Permission to ask the outside, and the place in the journal its answer goes to.
#[derive(Debug)]
pub struct Ticket {
    pub seq: i32,
    pub kind: &'static str,
    pub request: Value,
    /// Fuel used when the call began.
    pub fuel_before: u64,
    pub started_at: time::OffsetDateTime,
}

/// What a call finds.
#[derive(Debug)]
pub enum Begun {
    /// The run was here before: this is what it was answered.
    Recorded(Value),
    /// Nobody was here before: ask, then `end` with the ticket.
    Live(Ticket),
}

/// Where answers come from. An `Err` ends the run.
pub trait Journal: Send {
    /// `kind` and `request` must be the same at the same place in every life of a run.
    fn begin<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
    ) -> BoxFuture<'a, wasmtime::Result<Begun>>;

    /// Records what the outside answered; the frozen clock moves to the time it was recorded.
    fn end<'a>(
        &'a mut self,
        ticket: Ticket,
        response: Value,
        ok: bool,
    ) -> BoxFuture<'a, wasmtime::Result<()>>;
}

/// One call, whole: the recorded answer, or the one `perform` brings, recorded as `{"ok": …}` or `{"err": …}`.
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
        Begun::Recorded(response) => {
            let recorded: Recorded<A, E> = serde_json::from_value(response)?;
            Ok(recorded.into())
        }
        Begun::Live(ticket) => {
            let recorded: Recorded<A, E> = perform.await.into();
            let ok = matches!(recorded, Recorded::Ok(_));
            journal
                .end(ticket, serde_json::to_value(&recorded)?, ok)
                .await?;
            Ok(recorded.into())
        }
    }
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
