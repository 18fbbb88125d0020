//! One store, one call: instantiate, run, and say how it ended. What is made here is a future; the scheduler polls
//! it, and whoever stops it drops it. A store is never used twice.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use wasmtime::component::{InstancePre, ResourceTableError};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap};

use super::account::Account;
use super::bindings::bulkhead::agent::types::{Failure, Manifest, Outcome, Turn};
use super::bindings::guardrail::GuardrailPre;
use super::bindings::guardrail::bulkhead::agent::checks::{Subject, Verdict};
use super::bindings::provider::ToolProvider;
use super::bindings::provider::bulkhead::agent::provided::Offer;
use super::component::{DESCRIBE, LIST_TOOLS};
use super::engine::{Sandbox, TICK};
use super::host::Host;
use super::limits::Limit;
use super::own::OwnTime;
use super::{Agent, AgentPre};

/// Whose fault an abnormal end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    Guest,
    Host,
    Limit,
}

/// Why a guest did not end by itself.
#[derive(Debug)]
pub enum Fault {
    /// A limit ended it.
    Limit(Limit),
    /// The guest trapped or exited; what it was, for its author.
    Trap(String),
    /// Every slot of the engine is taken; no guest code ran. Waiting helps.
    Full,
    /// It waits for so long that it left memory; its journal brings it back.
    Away(Away),
    /// A rule that its author declared ended it.
    Blocked(Box<Blocked>),
    /// A host call failed in a way that is not the guest's: the cause is for the log only.
    Host(wasmtime::Error),
}

/// The error by which a host call takes its guest out of memory.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the guest waits until {until}")]
pub struct Away {
    pub until: time::OffsetDateTime,
}

/// The error by which a host call ends its guest because of a rule: the envelope that clients see. Counts and limits,
/// never the words that were at fault.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("{kind} at {at}: {message}")]
pub struct Blocked {
    #[serde(skip)]
    pub stop_reason: &'static str,
    pub kind: &'static str,
    pub rule: Box<str>,
    pub at: &'static str,
    pub message: String,
    pub detail: serde_json::Value,
}

/// What the host does around a guest's turn, in the guest's own place: it is stopped with it, and replayed with it.
pub trait Around: AsMut<Host> + Send + 'static {
    /// What the guest is given, before it begins.
    fn begin(&mut self, turn: Turn) -> BoxFuture<'_, wasmtime::Result<Turn>> {
        Box::pin(async move { Ok(turn) })
    }

    /// The guest has returned by itself.
    fn returned(&mut self) -> BoxFuture<'_, wasmtime::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// A rule ended it.
    fn blocked(&mut self, by: Blocked) -> BoxFuture<'_, wasmtime::Result<()>> {
        let _ = by;
        Box::pin(async { Ok(()) })
    }
}

/// The export of the world `guarded-agent` that `agent` has not.
const GUARDRAILS: &str = "guardrails";

/// How long past its deadline a guest may go before the backstop traps it.
const BACKSTOP: Duration = Duration::from_secs(1);

/// Runs one turn. `wall` is how long the guest may live.
pub async fn run<T>(
    sandbox: Sandbox,
    pre: AgentPre<T>,
    data: T,
    turn: Turn,
    wall: Duration,
) -> Result<Result<Outcome, Failure>, Fault>
where
    T: Around,
{
    let polls = Arc::default();
    let mut store = store(&sandbox, data, wall, &polls).map_err(Fault::Host)?;
    let call = async {
        let ended = turned(&mut store, pre, turn).await;
        if let Err(error) = &ended
            && let Some(blocked) = error.downcast_ref::<Blocked>()
        {
            store.data_mut().blocked(blocked.clone()).await?;
        }
        ended
    };
    let ended = counted(&polls, call).await;
    ended.map_err(|error| fault(&mut store, error))
}

async fn turned<T: Around>(
    store: &mut Store<T>,
    pre: AgentPre<T>,
    turn: Turn,
) -> wasmtime::Result<Result<Outcome, Failure>> {
    let agent = pre.instantiate_async(&mut *store).await?;
    let turn = store.data_mut().begin(turn).await?;
    let returned = agent.call_run(&mut *store, &turn).await?;
    store.data_mut().returned().await?;
    Ok(returned)
}

/// What a component says of itself, as far as it has exports for it.
#[derive(Debug)]
pub struct Described {
    /// None of one that is no agent.
    pub manifest: Option<Manifest>,
    pub guardrails: Vec<String>,
    pub tools: Vec<Offer>,
}

/// Asks a component what it is, which guardrails it declares, and which tools it offers.
pub async fn describe<T>(
    sandbox: Sandbox,
    pre: InstancePre<T>,
    data: T,
    wall: Duration,
) -> Result<Described, Fault>
where
    T: AsMut<Host> + Send + 'static,
{
    let polls = Arc::default();
    let mut store = store(&sandbox, data, wall, &polls).map_err(Fault::Host)?;
    let call = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let manifest = match instance.get_func(&mut store, DESCRIBE) {
            Some(_) => {
                let agent = Agent::new(&mut store, &instance)?;
                Some(agent.call_describe(&mut store).await?)
            }
            None => None,
        };
        let guardrails = match instance.get_func(&mut store, GUARDRAILS) {
            Some(declares) => {
                let declares = declares.typed::<(), (Vec<String>,)>(&store)?;
                declares.call_async(&mut store, ()).await?.0
            }
            None => Vec::new(),
        };
        let tools = match instance.get_func(&mut store, LIST_TOOLS) {
            Some(_) => {
                let provider = ToolProvider::new(&mut store, &instance)?;
                provider.call_list_tools(&mut store).await?
            }
            None => Vec::new(),
        };
        Ok(Described {
            manifest,
            guardrails,
            tools,
        })
    };
    let ended = counted(&polls, call).await;
    ended.map_err(|error| fault(&mut store, error))
}

/// Asks a guardrail component. `wall` bounds it whatever it waits for; `own` is told what it spends itself.
pub async fn check<T>(
    sandbox: Sandbox,
    (pre, data): (GuardrailPre<T>, T),
    subject: Subject,
    wall: Duration,
    own: Arc<OwnTime>,
) -> Result<Verdict, Fault>
where
    T: AsMut<Host> + Send + 'static,
{
    let polls = Arc::default();
    let mut store = store(&sandbox, data, wall, &polls).map_err(Fault::Host)?;
    let call = async {
        let guardrail = pre.instantiate_async(&mut store).await?;
        guardrail.call_check(&mut store, &subject).await
    };
    let ended = counted(&polls, own.of(call)).await;
    ended.map_err(|error| fault(&mut store, error))
}

/// Counts the polls of a call: each begins a slice.
async fn counted<F: Future>(polls: &AtomicU64, call: F) -> F::Output {
    let mut call = pin!(call);
    poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        call.as_mut().poll(cx)
    })
    .await
}

fn store<T>(
    sandbox: &Sandbox,
    mut data: T,
    wall: Duration,
    polls: &Arc<AtomicU64>,
) -> wasmtime::Result<Store<T>>
where
    T: AsMut<Host> + Send + 'static,
{
    let limits = data.as_mut().limits();
    let (fuel, handles) = (limits.fuel, limits.handles);
    let call_bytes = usize::try_from(limits.crossing_bytes_per_call).unwrap_or(usize::MAX);
    let slice = sandbox.config.slice_fuel.max(1);
    let mut store = Store::new(&sandbox.engine, data);
    store.limiter(|data| &mut data.as_mut().limiter);
    // Before a call can count what it carries, wasmtime has copied it: lists that share their elements are small in
    // the guest and huge here.
    store.set_hostcall_fuel(call_bytes);
    store.set_max_component_handles(handles);
    store.fuel_async_yield_interval(Some(slice))?;
    store.set_fuel(fuel)?;
    let mut account = Account::new(fuel, slice, Arc::clone(polls));
    store.call_hook(move |ctx, hook| account.cross(ctx, hook));
    let ticks = (wall + BACKSTOP).as_millis() / TICK.as_millis() + 2;
    store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX));
    Ok(store)
}

fn fault<T: AsMut<Host>>(store: &mut Store<T>, error: wasmtime::Error) -> Fault {
    let budget = store.data_mut().as_mut().limits().fuel;
    let left = store.get_fuel().unwrap_or(0);
    let host = store.data_mut().as_mut();
    host.meter().set_fuel(budget.saturating_sub(left));
    if let Some(limit) = error.downcast_ref::<Limit>() {
        return Fault::Limit(*limit);
    }
    if let Some(blocked) = error.downcast_ref::<Blocked>() {
        return Fault::Blocked(Box::new(blocked.clone()));
    }
    if let Some(away) = error.downcast_ref::<Away>() {
        return Fault::Away(*away);
    }
    if error.is::<PoolConcurrencyLimitError>() && host.meter().host_calls() == 0 {
        return Fault::Full;
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return Fault::Limit(Limit::Handles);
    }
    if let Some(limit) = engine_limit(&error) {
        return Fault::Limit(limit);
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return Fault::Trap(format!("the guest exited with status {}", exit.0));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Fault::Limit(Limit::Fuel),
        Some(Trap::Interrupt) => Fault::Limit(Limit::Epoch),
        // An allocator that is refused memory aborts, and who does not look uses memory that is not there; the
        // author is told why, not how. Any other trap is a fault of its own.
        Some(Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds)
            if host.limiter.memory_refused =>
        {
            Fault::Limit(Limit::Memory)
        }
        Some(trap @ Trap::StackOverflow) => Fault::Trap(format!("{trap} (`stack_bytes`)")),
        Some(trap) => Fault::Trap(trap.to_string()),
        None if is_guest_fault(&error) => Fault::Trap(bounded(&format!("{error:#}"))),
        None => Fault::Host(error),
    }
}

/// Limits that wasmtime enforces for us but has no public error for, by their words. A test reaches each.
fn engine_limit(error: &wasmtime::Error) -> Option<Limit> {
    let words = error.root_cause().to_string();
    if words.ends_with("fuel allocated for hostcalls has been exhausted") {
        Some(Limit::CrossingPerCall)
    } else if words.ends_with("store handle limit exceeded") {
        Some(Limit::Handles)
    } else if words.starts_with("memory minimum size of") {
        Some(Limit::Memory)
    } else if words.starts_with("table minimum size of") {
        Some(Limit::TableElements)
    } else {
        let count = words.strip_prefix("resource limit exceeded: ")?;
        match count.split(' ').next()? {
            "instance" => Some(Limit::CoreInstances),
            "memory" => Some(Limit::Memories),
            "table" => Some(Limit::Tables),
            _ => None,
        }
    }
}

/// Errors without a type of their own that a guest brings about: lying lists and strings, foreign handles, memory
/// that cannot be had at the start.
fn is_guest_fault(error: &wasmtime::Error) -> bool {
    !error.is::<crate::kit::Error>()
}

fn bounded(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(1_000)
        .collect()
}
