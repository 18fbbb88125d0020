//! `bulkhead dev`: everything on this machine in one command. A private PostgreSQL, the host, an agent built and
//! deployed, its knowledge read in; stopped in order by Ctrl-C. Must hold: nothing it started outlives it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::database::{self, Database};
use super::running::{self, Running};
use super::{agent, folder, greeting};
use crate::app::Parts;
use crate::cli::build::{Built, build};
use crate::cli::stop::Stop;
use crate::cli::terminal::{Failure, Output, log, plain};
use crate::config::{Config, Surroundings};
use crate::guardrails;
use crate::host::{Host, Pace};
use crate::identity::Caller;
use crate::kit::{Clock, Random, Tasks, db};

/// Ctrl-C is prompt: a run that has not ended after half of this is let go of, and goes on at the next start.
const GRACE_MS: u64 = 3_000;
const LISTEN: &str = "127.0.0.1:8320";

/// Start everything on this machine: database, host, an agent and its knowledge
///
/// Makes a data folder with a private PostgreSQL (or uses DATABASE_URL), migrates it, builds and deploys an agent, reads
/// in its knowledge and prints how to ask it. Ctrl-C stops everything.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead dev
  bulkhead dev --agent ../my-agent --listen 127.0.0.1:0
  bulkhead dev --output json --data /var/tmp/try     one line when ready: url, org, api_key, agent, metrics_url

Environment:
  DATABASE_URL          a PostgreSQL to use instead of a private one
  BULKHEAD_MASTER_KEY   64 hexadecimal digits instead of the data folder's master.key
  BULKHEAD__SECTION__KEY, such as BULKHEAD__RUNS__WALL_MS: any setting of the configuration"
)]
pub(in crate::cli) struct Args {
    /// The data folder: database, indexes, compiled components, keys.
    #[arg(
        long,
        env = "BULKHEAD__DATA",
        hide_env_values = true,
        value_name = "DIR",
        default_value = ".bulkhead"
    )]
    data: PathBuf,
    /// Where HTTP is served; port 0 takes a free one.
    #[arg(long, env = "BULKHEAD__LISTEN", hide_env_values = true, value_name = "ADDRESS", default_value = LISTEN)]
    listen: SocketAddr,
    /// Where /metrics is served.
    #[arg(
        long,
        env = "BULKHEAD__METRICS_LISTEN",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0"
    )]
    metrics_listen: SocketAddr,
    /// The crate of the agent to build and deploy; its `knowledge` folder is read in.
    #[arg(long, value_name = "DIR", default_value = "templates/support")]
    agent: PathBuf,
    /// Only the host: build and deploy nothing.
    #[arg(long, conflicts_with = "agent")]
    no_agent: bool,
    /// What to log on stderr.
    #[arg(
        long,
        env = "BULKHEAD_LOG",
        hide_env_values = true,
        value_name = "FILTER",
        default_value = "warn"
    )]
    log: String,
}

pub(in crate::cli) async fn run(args: Args, out: Output) -> Result<(), Failure> {
    log::start(&args.log, false, out)?;
    let mut stop = Stop::listen()?;
    let surroundings = Surroundings::read();
    let config = config(&args)?;
    database::refuse_held(&args.data)?;
    refuse_taken(args.listen)?;
    let tasks = Tasks::current();
    // The build needs no database: both start now.
    let folder = args.agent.clone();
    let building = (!args.no_agent).then(|| tasks.spawn(async move { build(&folder, out).await }));
    if !args.data.join("dev-key").exists() {
        out.note(format!("making the data folder {}", args.data.display()));
    }
    let database = Database::open(&args.data, &surroundings).await?;
    let pid = database.pid();
    let session = Box::pin(async {
        let host = stop
            .unless(Box::pin(start(config, &database, &surroundings)))
            .await?;
        let served = serve(&host, &database, (&args, out), (&mut stop, building)).await;
        running::forget(&args.data);
        if !matches!(&served, Err(failure) if failure.exit == 1) {
            out.note("stopping");
        }
        let stopped = tokio::select! {
            stopped = host.stop() => stopped.map_err(Failure::from),
            () = stop.asked() => {
                pid.inspect(|&pid| database::end_at_once(pid));
                std::process::exit(130);
            }
        };
        served.and(stopped)
    });
    let ended = session.await;
    let closed = database.close().await;
    ended.and(closed)
}

/// A host on this database, migrated first.
pub(in crate::cli) async fn start(
    config: Config,
    database: &Database,
    surroundings: &Surroundings,
) -> Result<Host, Failure> {
    let random = Random::system();
    let master_key = match &surroundings.master_key {
        Some(key) => crate::config::master_key(key)?,
        None => folder::master_key(&config.data, &random)?,
    };
    let db = db::connect(database.url(), config.database_connections).await?;
    db::migrate(&db).await?;
    let parts = Parts {
        db,
        clock: Clock::system(),
        random,
        master_key,
        program: program()?,
    };
    Ok(Host::start(config, parts, Pace::Time).await?)
}

type Building = tokio::task::JoinHandle<Result<Built, Failure>>;

/// From a host that runs to the wish to stop.
async fn serve(
    host: &Host,
    database: &Database,
    (args, out): (&Args, Output),
    (stop, building): (&mut Stop, Option<Building>),
) -> Result<(), Failure> {
    let (key, caller) = folder::api_key(&args.data, &host.app.identity).await?;
    let deployed = match building {
        Some(building) => Some(
            stop.unless(deploy(host, &caller, (args, out), building))
                .await?,
        ),
        None => None,
    };
    let running = Running {
        url: format!("http://{}", reachable(host.address)),
        org: caller.slug.to_string(),
        api_key: key.expose().to_owned(),
        agent: deployed.as_ref().map(|deployed| deployed.agent.clone()),
        metrics_url: format!("http://{}/metrics", reachable(host.metrics_address)),
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        database_url: database.public_url(),
    };
    running.write(&args.data)?;
    greeting::print(&running, deployed.as_ref(), &args.data, out)?;
    stop.asked().await;
    Ok(())
}

async fn deploy(
    host: &Host,
    caller: &Caller,
    (args, out): (&Args, Output),
    building: Building,
) -> Result<agent::Deployed, Failure> {
    let built = building
        .await
        .map_err(|error| Failure::new("build_failed", error.to_string()))??;
    let deployed = agent::deploy(&host.app.agents, caller, &built).await?;
    let (_, unknown) = guardrails::parse(&deployed.version.manifest.guardrails);
    for unknown in unknown {
        let value = plain::line(&unknown.value);
        out.note(format!(
            "warning: the guardrail `{value}` is unknown and guards nothing: {}",
            unknown.reason
        ));
    }
    agent::read_knowledge(
        &host.app.knowledge,
        caller,
        &args.agent.join("knowledge"),
        out,
    )
    .await?;
    Ok(deployed)
}

fn config(args: &Args) -> Result<Config, Failure> {
    let mut config = Config::load(None)?;
    config.data = args.data.clone();
    config.listen = args.listen;
    config.metrics_listen = args.metrics_listen;
    config.shutdown_grace_ms = config.shutdown_grace_ms.min(GRACE_MS);
    // A model server on this machine rarely speaks TLS; a host others can reach must not be led to one.
    // What a newer host knows may be declared while it is written; it is said, and guards nothing.
    config.guardrails.allow_unknown = true;
    config.models.allow_http_models |= args.listen.ip().is_loopback();
    Ok(config)
}

/// Said before anything is started, and in the words of this command.
fn refuse_taken(listen: SocketAddr) -> Result<(), Failure> {
    match TcpListener::bind(listen) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let detail = format!(
                "{listen} is taken: stop what listens there, or take a free port with --listen 127.0.0.1:0"
            );
            Err(Failure::new("port_taken", detail))
        }
        _ => Ok(()),
    }
}

/// This very program, also after its file was replaced by a newer build.
pub(in crate::cli) fn program() -> Result<PathBuf, Failure> {
    let linked = Path::new("/proc/self/exe");
    Ok(if linked.exists() {
        linked.to_owned()
    } else {
        std::env::current_exe()?
    })
}

/// An address one can connect to.
pub(in crate::cli) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}
