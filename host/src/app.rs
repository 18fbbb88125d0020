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
use crate::kit::http::idempotency::Idempotency;
use crate::kit::http::page::Cursors;
use crate::kit::secret::Seal;
use crate::kit::{Clock, Error, Ids, Random, Result, Tasks, db};
use crate::knowledge::Knowledge;
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
        let Parts {
            db,
            clock,
            random,
            master_key,
            program,
        } = parts;
        let tasks = Tasks::current();
        let ids = Ids::new(clock.clone(), random.clone());
        let cursors = Cursors::new(&db::shared_key(&db, "cursors", &random).await?);
        let artifact_key = db::shared_key(&db, "artifacts", &random).await?;
        let sandbox = Sandbox::new(config.sandbox.clone()).map_err(Error::internal)?;
        let scheduler =
            Scheduler::start(threads(&config), config.sandbox.slice_fuel, tasks.runtime())?;
        let artifacts = Artifacts::open(config.data.join("artifacts"), &artifact_key, &sandbox)?;
        let imports = Imports::new(&sandbox).map_err(Error::internal)?;

        let identity = Identity::new(db.clone(), clock.clone(), ids.clone(), cursors.clone());
        let agents = Agents::new(agents::Parts {
            db: db.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cursors: cursors.clone(),
            tasks: tasks.clone(),
            sandbox: sandbox.clone(),
            scheduler: scheduler.clone(),
            artifacts,
            fits: imports.fits(),
            program,
            config: config.agents.clone(),
        });
        let models = Models::new(
            db.clone(),
            clock.clone(),
            ids.clone(),
            cursors.clone(),
            Seal::new(&master_key, random),
            Egress::new()?,
            tasks.clone(),
            config.models.clone(),
        );
        let mut knowledge_config = config.knowledge.clone();
        if knowledge_config.index.as_os_str().is_empty() {
            knowledge_config.index = config.data.join("index");
        }
        let knowledge = Knowledge::new(
            db.clone(),
            clock.clone(),
            ids.clone(),
            cursors.clone(),
            tasks.clone(),
            knowledge_config,
        );
        let runs = Runs::new(runs::Parts {
            db: db.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            cursors,
            tasks: tasks.clone(),
            agents: agents.clone(),
            models: models.clone(),
            knowledge: knowledge.clone(),
            sandbox,
            scheduler: scheduler.clone(),
            imports,
            config: config.runs.clone(),
        });
        let body_max = config.body_bytes.max(config.agents.component_bytes);
        let idempotency = Idempotency {
            db: db.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            body_max,
        };
        let draining = watch::Sender::new(false);
        Ok(Self {
            db,
            clock,
            ids,
            tasks,
            scheduler,
            identity,
            agents,
            models,
            knowledge,
            runs,
            idempotency,
            config: Arc::new(config),
            draining,
        })
    }
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
