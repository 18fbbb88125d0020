//! A whole host for one test, on a database of its own: real HTTP, real PostgreSQL, a clock and randomness that the
//! test holds, jobs that run when told. Ending it checks that nothing was left behind.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bulkhead::app::Parts;
use bulkhead::config::Config;
use bulkhead::host::{Host, Pace};
use bulkhead::kit::egress;
use bulkhead::kit::{Clock, Random, db};
use bulkhead::{knowledge, models, runs, sandbox};
use sqlx::PgPool;
use time::macros::datetime;

use crate::client::Client;
use crate::database::{self, Database};
use crate::folder::Folder;
use crate::logs;

/// What seals the secrets of every test host.
pub const MASTER_KEY: [u8; 32] = *b"the master key of the test hosts";

/// A host under test. Call `stop` at the end, or let it be dropped: both check what was left.
pub struct TestHost {
    host: Option<Host>,
    shared: Arc<Shared>,
    folder: Folder,
}

/// What hosts on one database share.
struct Shared {
    database: Database,
    clock: Clock,
    config: Config,
    clients: Mutex<HashMap<String, Client>>,
}

impl TestHost {
    /// A host with the limits of tests.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A host whose configuration the test changes first.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        logs::watch();
        let mut config = config();
        change(&mut config);
        let shared = Arc::new(Shared {
            database: database::fresh().await,
            clock: Clock::manual(datetime!(2026-11-20 09:00 UTC)),
            config,
            clients: Mutex::default(),
        });
        let config = shared.config.clone();
        Box::pin(Self::on(shared, config)).await
    }

    /// Another host on the same database, with the same clock.
    pub async fn join(&self) -> Self {
        self.join_with(|_| {}).await
    }

    /// The same, configured otherwise.
    pub async fn join_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.shared.config.clone();
        change(&mut config);
        Box::pin(Self::on(Arc::clone(&self.shared), config)).await
    }

    async fn on(shared: Arc<Shared>, config: Config) -> Self {
        let folder = Folder::new();
        share_artifacts(&folder);
        let config = Config {
            data: folder.to_path_buf(),
            ..config
        };
        let pool = db::connect(shared.database.url(), config.database_connections)
            .await
            .unwrap_or_else(|error| panic!("the test's database: {error:?}"));
        let parts = Parts {
            db: pool,
            clock: shared.clock.clone(),
            random: Random::system(),
            master_key: MASTER_KEY,
            program: program(),
        };
        let host = Box::pin(Host::start(config, parts, Pace::Told))
            .await
            .unwrap_or_else(|error| panic!("the host does not start: {error:?}"));
        Self {
            host: Some(host),
            shared,
            folder,
        }
    }

    /// An admin of the organization, which is made at the first call.
    pub async fn client(&self, org: &str) -> Client {
        let known = self
            .shared
            .clients
            .lock()
            .expect("no test panics in here")
            .get(org)
            .cloned();
        let client = match known {
            Some(client) => client,
            None => {
                let (_, _, secret) = self
                    .host()
                    .app
                    .identity
                    .create_organization(org)
                    .await
                    .unwrap_or_else(|error| panic!("organization {org}: {error:?}"));
                let client = Client::new(&self.url(), org, secret.expose());
                let mut clients = self.shared.clients.lock().expect("no test panics in here");
                clients.insert(org.to_owned(), client.clone());
                client
            }
        };
        client.at(&self.url())
    }

    /// The host itself, for what has no door.
    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("it is taken only when it stops")
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.host().address)
    }

    pub fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.host().metrics_address)
    }

    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    pub fn db(&self) -> &PgPool {
        &self.host().app.db
    }

    pub fn database_url(&self) -> &str {
        self.shared.database.url()
    }

    pub fn data(&self) -> &Path {
        &self.folder
    }

    /// Moves the background work once.
    pub async fn run_jobs(&self) {
        self.host()
            .run_jobs()
            .await
            .unwrap_or_else(|error| panic!("a job failed: {error:?}"));
    }

    /// Deploys a guest of `tests/guests` and makes it stable.
    pub async fn deploy(&self, org: &str, agent: &str, guest: &crate::guests::Guest) {
        let client = self.client(org).await;
        client.deploy(agent, &guest.bytes()).await;
    }

    /// Waits until a run of this host is where it is expected: what a provider or a reader has seen of it comes from
    /// other threads than its guest's, which may be behind.
    pub async fn reaches(&self, run: &str, place: &str) {
        let id = run.parse().unwrap_or_else(|_| panic!("{run} is no run"));
        let live = self.host().app.runs.registry();
        eventually(&format!("{run} is in {place}"), async || {
            live.get(id).is_some_and(|run| run.place() == Some(place))
        })
        .await;
    }

    /// Ends the host as an operator would, and checks what it left.
    pub async fn stop(mut self) {
        self.end().await;
    }

    /// Ends the host without a word, as a kill would: its runs and its lease stay as they are.
    pub async fn abandon(mut self) -> Arc<impl Sized> {
        let host = self.host.take().expect("it is taken only when it stops");
        // Its tasks go on; nothing tells the database that it is gone.
        Arc::new((host, Arc::clone(&self.shared)))
    }

    async fn end(&mut self) {
        let Some(host) = self.host.take() else { return };
        let (live, scheduler) = (host.app.runs.registry(), host.app.scheduler.clone());
        let db = db::connect(self.shared.database.url(), 1)
            .await
            .expect("the database is still there");
        Box::pin(host.stop())
            .await
            .unwrap_or_else(|error| panic!("the host stops badly: {error:?}"));
        assert!(live.is_empty(), "runs were left alive");
        assert_eq!(scheduler.alive(), 0, "guests were left in their slots");
        let violations = bulkhead::invariants::check(&db)
            .await
            .unwrap_or_else(|error| panic!("the invariants cannot be checked: {error:?}"));
        assert!(violations.is_empty(), "violated: {violations:#?}");
        db.close().await;
        logs::assert_no_unexpected_errors();
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        if self.host.is_none() || std::thread::panicking() {
            return;
        }
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.end()));
    }
}

/// Providers may be silent for as long as a busy machine takes to cancel a run that waits for them.
pub fn patient(config: &mut Config) {
    config.models.first_byte_ms = 120_000;
    config.models.idle_ms = 120_000;
    config.models.total_ms = 600_000;
}

/// Limits small enough that a test can reach them.
pub fn config() -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        metrics_listen: ([127, 0, 0, 1], 0).into(),
        database_connections: 8,
        shutdown_grace_ms: 5_000,
        sandbox: sandbox::Config {
            guests: 64,
            threads: 2,
            ..sandbox::Config::default()
        },
        runs: runs::Config {
            concurrent: 64,
            concurrent_per_org: 48,
            // Other compilers and tests share the cores.
            stop_effective_ms: 60_000,
            cancel_wait_ms: 30_000,
            // Guests that sleep stay in memory, but in tests of leaving it.
            suspend_after_ms: 24 * 3_600_000 + 1,
            ..runs::Config::default()
        },
        models: models::Config::for_test(),
        knowledge: knowledge::Config::for_test(),
        // Receivers of webhooks are on this machine.
        egress: egress::Config {
            allow: vec!["127.0.0.0/8".to_owned()],
            http: true,
        },
        ..Config::default()
    }
}

/// The program that compiles components: cargo builds it beside the tests.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let mut folders = test.ancestors().skip(1).take(2);
    folders
        .find_map(|folder| {
            ["bulkhead-under-test", "bulkhead"]
                .iter()
                .map(|name| folder.join(name))
                .find(|path| path.is_file())
        })
        .unwrap_or_else(|| {
            panic!("build it first: cargo build -p bulkhead-tests --bin bulkhead-under-test")
        })
}

/// Compiled guests are kept between tests: the template database holds the key they are sealed with.
pub(crate) fn share_artifacts(data: &Path) {
    let shared = guest_target().join("artifacts");
    std::fs::create_dir_all(&shared).expect("the target folder is ours");
    std::os::unix::fs::symlink(&shared, data.join("artifacts")).expect("the data folder is new");
}

/// Where guests and their artifacts are built.
pub fn guest_target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/guests")
}

/// Waits until `condition` holds; fails after ten seconds. For what another task is about to do.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it never came to this: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
