//! What the benches share: percentiles, tables, a host with a durable database, the process's memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead::app::Parts;
use bulkhead::config::Config;
use bulkhead::host::{Host, Pace};
use bulkhead::kit::{Clock, Random, db};
use bulkhead::postgres::{Options, Postgres};
use bulkhead_tests::Client;
use bulkhead_tests::folder::Folder;

/// The value below which `share` of the samples lie.
pub fn percentile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let last = samples.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    samples.get(place).copied().unwrap_or_default()
}

/// A duration with the unit that suits it.
pub fn show(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        m if m < 1_000.0 => format!("{m:.1} µs"),
        m if m < 1_000_000.0 => format!("{:.2} ms", m / 1e3),
        m => format!("{:.2} s", m / 1e6),
    }
}

/// Prints a table with what it shows and how it was made.
#[expect(clippy::print_stdout, reason = "a bench prints its table")]
pub fn table(title: &str, how: &str, header: &[&str], rows: &[Vec<String>]) {
    println!("\n## {title}\n\n{how}\n");
    println!("| {} |", header.join(" | "));
    println!("|{}", "---|".repeat(header.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

/// Resident bytes of a process, from `/proc`.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// A host as `dev` makes it: durable PostgreSQL of its own, jobs on their periods, the default limits.
pub struct Bench {
    pub host: Host,
    postgres: Postgres,
    _folder: Folder,
}

impl Bench {
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = durable_folder();
        let options = Options {
            data: folder.to_path_buf(),
            path: path(),
            durable: true,
        };
        let postgres = Postgres::start(options)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            metrics_listen: ([127, 0, 0, 1], 0).into(),
            data: folder.to_path_buf(),
            ..Config::default()
        };
        config.models.allow_http_models = true;
        change(&mut config);
        let pool = db::connect(postgres.url(), config.database_connections).await;
        let pool = pool.unwrap_or_else(|error| panic!("{error}"));
        db::migrate(&pool)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let parts = Parts {
            db: pool,
            clock: Clock::system(),
            random: Random::system(),
            master_key: [7; 32],
            program: program(),
        };
        let host = Host::start(config, parts, Pace::Time)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            host,
            postgres,
            _folder: folder,
        }
    }

    pub async fn client(&self, org: &str) -> Client {
        let made = self.host.app.identity.create_organization(org).await;
        let (_, _, secret) = made.unwrap_or_else(|error| panic!("{error}"));
        Client::new(
            &format!("http://{}", self.host.address),
            org,
            secret.expose(),
        )
    }

    pub async fn stop(self) {
        self.host
            .stop()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        self.postgres
            .stop()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

/// On a disk: a durable commit into memory would flatter.
fn durable_folder() -> Folder {
    Folder::on_disk()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bench has no configuration to read it"
)]
fn path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

/// The host's program: cargo builds it for the package that has it, beside the benches.
fn program() -> PathBuf {
    let bench = std::env::current_exe().unwrap_or_default();
    let found = bench
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("bulkhead"))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("build it first: cargo build --release -p bulkhead"))
}

/// Where the repository is.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
