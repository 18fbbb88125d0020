//! Assembly: every room made once, in order of what it needs, and handed to the routes by `FromRef`.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use futures_util::future::BoxFuture;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::agents::{self, Agents};
use crate::audit::{self, Audit, Refusals};
use crate::billing::Billing;
use crate::config::{BAD_CONFIG, Config};
use crate::conversations::Conversations;
use crate::guardrails::{Checker, Guardrails};
use crate::identity::{Identity, Proven};
use crate::kit::egress::{Egress, Guarded, Rules};
use crate::kit::http::idempotency::{Admit, Idempotency};
use crate::kit::secret::Seal;
use crate::kit::{Base, Clock, Error, Ids, Random, Result, Tasks, Tracing, db};
use crate::knowledge::{self, Knowledge};
use crate::limits::{Each, Limits};
use crate::models::Models;
use crate::runs::imports::Imports;
use crate::runs::{self, Runs};
use crate::sandbox::compile::Artifacts;
use crate::sandbox::{self, Sandbox, Scheduler};
use crate::webhooks::Webhooks;

/// The rooms of a running host. Cheap to clone, as each layer of the service does for each request.
#[derive(Clone)]
pub struct App(Arc<Rooms>);

/// What `App` hands out.
pub struct Rooms {
    pub db: PgPool,
    pub clock: Clock,
    pub ids: Ids,
    pub tasks: Tasks,
    pub tracing: Tracing,
    pub scheduler: Scheduler,
    pub identity: Identity,
    pub audit: Audit,
    pub refusals: Refusals,
    pub limits: Limits,
    pub billing: Billing,
    pub agents: Agents,
    pub conversations: Conversations,
    pub models: Models,
    pub knowledge: Knowledge,
    pub guardrails: Guardrails,
    pub checker: Checker,
    pub webhooks: Webhooks,
    pub runs: Runs,
    pub idempotency: Idempotency,
    pub config: Arc<Config>,
    /// True from the moment the host is to stop.
    pub draining: watch::Sender<bool>,
}

/// What a host is made from besides its configuration.
pub struct Parts {
    pub db: PgPool,
    pub clock: Clock,
    pub random: Random,
    pub master_key: [u8; 32],
    /// The program whose `compile-component` compiles: this one, in a host.
    pub program: PathBuf,
}

impl App {
    /// Makes every room. The database must be migrated.
    pub async fn build(config: Config, parts: Parts) -> Result<Self> {
        let (base, egress) = base(&parts, &config).await?;
        let artifact_key = db::shared_key(&base.db, "artifacts", &parts.random).await?;
        let limits = limits(&base, &config)?;
        let sandbox = sandbox(&config, &limits)?;
        let scheduler = scheduler(&base, &config)?;
        let imports = Imports::new(&sandbox).map_err(Error::internal)?;
        let seal = Seal::new(&parts.master_key, parts.random);

        let (identity, conversations) = people(&base, &config);
        let guardrails = Guardrails::new(&base, config.guardrails.clone());
        let billing = billing(&base, &config).await?;
        let audit = Audit::open(&base, &seal, audit_config(&config)).await?;
        let refusals = Refusals::new(&base, config.audit.refusals_per_minute);
        let agents = Agents::new(agents::Parts {
            base: base.clone(),
            limits: limits.clone(),
            guardrails: guardrails.clone(),
            sandbox: sandbox.clone(),
            scheduler: scheduler.clone(),
            artifacts: Artifacts::open(config.data.join("artifacts"), &artifact_key, &sandbox)?,
            fits: imports.fits(),
            program: parts.program,
            config: config.agents.clone(),
        });
        let models = Models::new(&base, seal.clone(), egress, config.models.clone());
        let knowledge = Knowledge::new(&base, knowledge_config(&config));
        let checker = checker(&base, &agents, (&sandbox, &scheduler), &config)?;
        let webhooks = webhooks(&base, &seal, &config)?;
        let runs = Runs::new(runs::Parts {
            base: base.clone(),
            limits: limits.clone(),
            billing: billing.clone(),
            agents: agents.clone(),
            conversations: conversations.clone(),
            models: models.clone(),
            knowledge: knowledge.clone(),
            guardrails: guardrails.clone(),
            checker: checker.clone(),
            sandbox,
            scheduler: scheduler.clone(),
            imports,
            config: config.runs.clone(),
        });
        let idempotency = idempotency(&base, seal, (&identity, &limits), &config);
        Ok(Self(Arc::new(Rooms {
            db: base.db,
            clock: base.clock,
            ids: base.ids,
            tasks: base.tasks,
            tracing: base.tracing,
            scheduler,
            identity,
            audit,
            refusals,
            limits,
            billing,
            agents,
            conversations,
            models,
            knowledge,
            guardrails,
            checker,
            webhooks,
            runs,
            idempotency,
            config: Arc::new(config),
            draining: watch::Sender::new(false),
        })))
    }
}

impl Deref for App {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        &self.0
    }
}

/// Who asks, and what is kept of it.
fn people(base: &Base, config: &Config) -> (Identity, Conversations) {
    let conversations = Conversations::new(base, config.conversations.clone());
    (Identity::new(base), conversations)
}

/// Traces begin before every room that has a place in them.
async fn base(parts: &Parts, config: &Config) -> Result<(Base, Egress)> {
    let (db, clock) = (parts.db.clone(), parts.clock.clone());
    let mut base = Base::new(db, clock, parts.random.clone()).await?;
    let egress = Egress::new()?;
    base.tracing =
        Tracing::start(&config.tracing, &base, &egress).map_err(|what| BAD_CONFIG.because(what))?;
    Ok((base, egress))
}

async fn billing(base: &Base, config: &Config) -> Result<Billing> {
    let billing = Billing::new(base, Egress::new()?, config.billing.clone())
        .map_err(|what| BAD_CONFIG.because(what))?;
    billing.check_tiers().await?;
    Ok(billing)
}

/// Guardrail components are found among the agents, which know nothing of who is judged.
fn checker(
    base: &Base,
    agents: &Agents,
    engine: (&Sandbox, &Scheduler),
    config: &Config,
) -> Result<Checker> {
    let agents = agents.clone();
    let load = Arc::new(move |org, name: String| -> BoxFuture<'static, _> {
        let agents = agents.clone();
        Box::pin(async move { agents.guardrail(org, &name).await })
    });
    let times = (&base.tasks, &base.clock);
    Checker::new(engine, times, load, config.guardrails.clone()).map_err(Error::internal)
}

fn limits(base: &Base, config: &Config) -> Result<Limits> {
    let given = defaults(config);
    config
        .limits
        .check(&given)
        .map_err(|what| BAD_CONFIG.because(what))?;
    Limits::new(base, &given, &config.limits.maximum)
}

/// Slots are made for the most that anybody may be given.
fn sandbox(config: &Config, limits: &Limits) -> Result<Sandbox> {
    let engine = sandbox::Config {
        limits: limits.most().sandbox(),
        ..config.sandbox.clone()
    };
    Sandbox::new(engine).map_err(Error::internal)
}

/// Checkpoints stand in the data folder where nothing else is said.
fn audit_config(config: &Config) -> audit::Config {
    let mut audit = config.audit.clone();
    if audit.checkpoints.as_os_str().is_empty() {
        audit.checkpoints = config.data.join("audit-checkpoints.jsonl");
    }
    audit
}

fn webhooks(base: &Base, seal: &Seal, config: &Config) -> Result<Webhooks> {
    let rules = Rules::new(&config.egress)
        .map_err(|what| BAD_CONFIG.because(format!("`egress.allow`: {what}.")))?;
    let guarded = Guarded::new(rules)?;
    Ok(Webhooks::new(
        base,
        seal.clone(),
        guarded,
        config.webhooks.clone(),
    ))
}

/// Indexes stand in the data folder where nothing else is said.
fn knowledge_config(config: &Config) -> knowledge::Config {
    let mut knowledge = config.knowledge.clone();
    if knowledge.index.as_os_str().is_empty() {
        knowledge.index = config.data.join("index");
    }
    knowledge
}

/// What the host gives where nobody said otherwise, from the rooms that enforce it.
fn defaults(config: &Config) -> Each<u64> {
    let sandbox = &config.sandbox.limits;
    Each {
        fuel: sandbox.fuel,
        wall_ms: config.runs.wall_ms,
        memory_bytes: sandbox.memory_bytes as u64,
        table_elements: sandbox.table_elements as u64,
        core_instances: sandbox.core_instances as u64,
        memories: sandbox.memories as u64,
        tables: sandbox.tables as u64,
        host_calls: sandbox.host_calls,
        crossing_bytes_per_call: sandbox.crossing_bytes_per_call,
        crossing_bytes_per_run: sandbox.crossing_bytes_per_run,
        answer_bytes: sandbox.answer_bytes as u64,
        handles: sandbox.handles as u64,
        output_bytes: sandbox.output_bytes,
        log_bytes_per_stream: sandbox.log_bytes_per_stream as u64,
        random_bytes_per_call: sandbox.random_bytes_per_call,
        component_bytes: config.agents.component_bytes as u64,
        concurrent_runs: config.runs.concurrent_per_org.into(),
        stack_bytes: config.sandbox.stack_bytes as u64,
    }
}

fn idempotency(
    base: &Base,
    seal: Seal,
    (identity, limits): (&Identity, &Limits),
    config: &Config,
) -> Idempotency {
    let largest_component = limits.most().component_bytes;
    Idempotency {
        base: base.clone(),
        seal,
        admit: admit(identity),
        claimed_for: Duration::from_millis(config.idempotency_claim_ms),
        body_max: config
            .body_bytes
            .max(usize::try_from(largest_component).unwrap_or(usize::MAX)),
    }
}

fn admit(identity: &Identity) -> Admit {
    let identity = identity.clone();
    Arc::new(move |headers, extensions| {
        let identity = identity.clone();
        Box::pin(async move {
            let caller = identity.prove(&headers).await?;
            Proven::tell(&extensions, &caller);
            Ok(())
        })
    })
}

fn scheduler(base: &Base, config: &Config) -> Result<Scheduler> {
    let threads = match config.sandbox.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    Scheduler::start(threads, config.sandbox.slice_fuel, base.tasks.runtime()).map_err(Error::from)
}

macro_rules! hand_out {
    ($($field:ident: $room:ty),* $(,)?) => {$(
        impl FromRef<App> for $room {
            fn from_ref(app: &App) -> Self {
                app.$field.clone()
            }
        }
    )*};
}

hand_out!(
    identity: Identity,
    audit: Audit,
    limits: Limits,
    billing: Billing,
    agents: Agents,
    conversations: Conversations,
    models: Models,
    knowledge: Knowledge,
    guardrails: Guardrails,
    webhooks: Webhooks,
    runs: Runs,
    ids: Ids,
    idempotency: Idempotency,
);
