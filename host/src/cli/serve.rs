//! `bulkhead serve`: the host in production. Database and master key come from the environment, the rest from a file;
//! what would be unsafe is refused, not warned about.

use std::path::PathBuf;

use serde_json::json;

use super::dev::{hold, program, reachable};
use super::stop::Stop;
use super::terminal::{Failure, Output, log};
use crate::app::Parts;
use crate::config::{self, Config, Surroundings};
use crate::host::{Host, Pace};
use crate::kit::db::{self, Schema};
use crate::kit::{Clock, Random, Secret};

/// Run a host in production
///
/// Listens, takes runs, and drains when asked to stop: it stops taking work, lets runs and requests end within
/// `shutdown_grace_ms`, and exits. The log is JSON on stderr.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead migrate && bulkhead serve --config /etc/bulkhead.toml
  BULKHEAD__LISTEN=0.0.0.0:8320 BULKHEAD__RUNS__CONCURRENT=500 bulkhead serve --migrate

Environment:
  DATABASE_URL          required: postgres://user:password@host/database
  BULKHEAD_MASTER_KEY   required: 64 hexadecimal digits that seal secrets at rest; `openssl rand -hex 32` makes one
  BULKHEAD__SECTION__KEY, such as BULKHEAD__DATA or BULKHEAD__RUNS__WALL_MS: any setting; wins over the file"
)]
pub(super) struct Args {
    /// The configuration, TOML.
    #[arg(
        long,
        env = "BULKHEAD_CONFIG",
        hide_env_values = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    /// Migrate the database first.
    #[arg(long)]
    migrate: bool,
    /// What to log.
    #[arg(
        long,
        env = "BULKHEAD_LOG",
        hide_env_values = true,
        value_name = "FILTER",
        default_value = "info"
    )]
    log: String,
}

pub(super) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    log::start(&args.log, true, out)?;
    let mut stop = Stop::listen()?;
    let config = Config::load(args.config.as_deref())?;
    let surroundings = Surroundings::read();
    let database_url = required(
        surroundings.database_url,
        "DATABASE_URL",
        "postgres://user:password@host/database",
    )?;
    let master_key = required(
        surroundings.master_key,
        "BULKHEAD_MASTER_KEY",
        "what `openssl rand -hex 32` prints",
    )?;
    let master_key = config::master_key(&master_key)?;
    refuse_unsafe(&config)?;
    let held = hold(&config.data)?;
    let db = db::connect(database_url.expose(), config.database_connections).await?;
    if args.migrate {
        db::migrate(&db).await?;
    } else {
        refuse_unmigrated(&db).await?;
    }
    let parts = Parts {
        db,
        clock: Clock::system(),
        random: Random::system(),
        master_key,
        program: program()?,
    };
    let host = Host::start(config, parts, Pace::Time).await?;
    let (url, metrics_url) = (
        format!("http://{}", reachable(host.address)),
        format!("http://{}/metrics", reachable(host.metrics_address)),
    );
    if out.is_json() {
        out.json(&json!({ "url": url, "metrics_url": metrics_url, "node": host.app.runs.node().to_string() }))?;
    } else {
        out.line(format!("ready at {url}, metrics at {metrics_url}"));
    }
    let runs = host.app.runs.clone();
    tokio::select! {
        () = stop.asked() => {}
        // A stop that was not effective is this host's own fault: others go on with its runs.
        () = runs.escalated() => {}
    }
    drop(runs);
    let stopped = tokio::select! {
        stopped = host.stop() => stopped.map_err(Failure::from),
        () = stop.asked() => Err(Failure::interrupted()),
    };
    drop(held);
    stopped
}

/// A database this host can work with as it is.
pub(super) async fn refuse_unmigrated(db: &sqlx::PgPool) -> Result<(), Failure> {
    // Without its table of migrations the database has none.
    let detail = match db::schema(db).await {
        Ok(Schema::Usable) => return Ok(()),
        Ok(Schema::Foreign(version)) => format!(
            "migration {version} of the database differs from this program's: it was made by another build; \
             use that build or another database"
        ),
        Ok(Schema::Behind) | Err(_) => {
            "the database lacks migrations of this version: run `bulkhead migrate`, or start with --migrate".to_owned()
        }
    };
    Err(Failure::new("not_migrated", detail))
}

fn required(value: Option<Secret>, name: &str, such_as: &str) -> Result<Secret, Failure> {
    value.ok_or_else(|| {
        Failure::usage(format!(
            "{name} is not set: set it to {such_as} (`bulkhead dev` needs nothing set up)"
        ))
    })
}

fn refuse_unsafe(config: &Config) -> Result<(), Failure> {
    if config.models.allow_http_models && !config.listen.ip().is_loopback() {
        let detail = format!(
            "`models.allow_http_models` is for development, but `listen` {} can be reached from outside: \
             turn it off, or listen on 127.0.0.1",
            config.listen
        );
        return Err(Failure::new("unsafe_configuration", detail));
    }
    Ok(())
}
