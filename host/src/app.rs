//! Assembly: every room made once, in order of what it needs, and handed to the routes by `FromRef`.

use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::FromRef;
use sqlx::PgPool;
use tokio::sync::watch;

use crate::agents::{self, Agents};
use crate::config::Config;
use crate::identity::Identity;
use crate::kit::egress::Egress;
use crate::kit::http::idempotency::{Admit, Idempotency};
use crate::kit::secret::Seal;
use crate::kit::{Base, Clock, Error, Ids, Random, Result, Tasks, db};
use crate::knowledge::{self, Knowledge};
use crate::models::Models;
use crate::runs::imports::Imports;
use crate::runs::{self, Runs};
use crate::sandbox::compile::Artifacts;
use crate::sandbox::{Sandbox, Scheduler};

/// The rooms of a running host. Cheap to clone.
#[derive(Clone)]
pub struct App {
    pub db: PgPool,
    pub clock: Clock,
    pub ids: Ids,
    pub tasks: Tasks,
    pub scheduler: Scheduler,
    pub identity: Identity,
    pub agents: Agents,
    pub models: Models,
    pub knowledge: Knowledge,
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
        let base = Base::new(parts.db, parts.clock, parts.random.clone()).await?;
        let artifact_key = db::shared_key(&base.db, "artifacts", &parts.random).await?;
        let sandbox = Sandbox::new(config.sandbox.clone()).map_err(Error::internal)?;
        let scheduler = Scheduler::start(
            threads(&config),
            config.sandbox.slice_fuel,
            base.tasks.runtime(),
        )?;
        let imports = Imports::new(&sandbox).map_err(Error::internal)?;
        let seal = Seal::new(&parts.master_key, parts.random);

        let identity = Identity::new(&base);
        let agents = Agents::new(agents::Parts {
            base: base.clone(),
            sandbox: sandbox.clone(),
            scheduler: scheduler.clone(),
            artifacts: Artifacts::open(config.data.join("artifacts"), &artifact_key, &sandbox)?,
            fits: imports.fits(),
            program: parts.program,
            config: config.agents.clone(),
        });
        let models = Models::new(&base, seal.clone(), Egress::new()?, config.models.clone());
        let knowledge = Knowledge::new(&base, knowledge_config(&config));
        let runs = Runs::new(runs::Parts {
            base: base.clone(),
            agents: agents.clone(),
            models: models.clone(),
            knowledge: knowledge.clone(),
            sandbox,
            scheduler: scheduler.clone(),
            imports,
            config: config.runs.clone(),
        });
        let idempotency = Idempotency {
            base: base.clone(),
            seal,
            admit: admit(&identity),
            body_max: config.body_bytes.max(config.agents.component_bytes),
        };
        Ok(Self {
            db: base.db,
            clock: base.clock,
            ids: base.ids,
            tasks: base.tasks,
            scheduler,
            identity,
            agents,
            models,
            knowledge,
            runs,
            idempotency,
            config: Arc::new(config),
            draining: watch::Sender::new(false),
        })
    }
}

/// Indexes stand in the data folder where nothing else is said.
fn knowledge_config(config: &Config) -> knowledge::Config {
    let mut knowledge = config.knowledge.clone();
    if knowledge.index.as_os_str().is_empty() {
        knowledge.index = config.data.join("index");
    }
    knowledge
}

fn admit(identity: &Identity) -> Admit {
    let identity = identity.clone();
    Arc::new(move |headers| {
        let identity = identity.clone();
        Box::pin(async move { identity.prove(&headers).await.map(drop) })
    })
}

fn threads(config: &Config) -> usize {
    match config.sandbox.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
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
    agents: Agents,
    models: Models,
    knowledge: Knowledge,
    runs: Runs,
    ids: Ids,
    idempotency: Idempotency,
);
