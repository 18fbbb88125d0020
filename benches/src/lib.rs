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
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the program itself allocates with: hosts run in the benches' process.
#[global_allocator]
static ALLOCATOR: bulkhead::Allocator = bulkhead::Allocator;

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
    config: Config,
    postgres: Postgres,
    folder: Folder,
}

impl Bench {
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = durable_folder();
        let options = Options {
            data: folder.to_path_buf(),
            path: path(),
            folders: bulkhead::postgres::find::usual_folders(),
            durable: true,
        };
        let postgres = Postgres::start(options)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            metrics_listen: ([127, 0, 0, 1], 0).into(),
            ..Config::default()
        };
        config.models.allow_http_models = true;
        change(&mut config);
        let pool = db::connect(postgres.url(), config.database_connections).await;
        let pool = pool.unwrap_or_else(|error| panic!("{error}"));
        db::migrate(&pool)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        pool.close().await;
        let host = Box::pin(host(&config, postgres.url(), folder.to_path_buf())).await;
        Self {
            host,
            config,
            postgres,
            folder,
        }
    }

    /// Another host on the same database, in this process, with a data folder of its own.
    pub async fn join(&self) -> Host {
        let data = self.folder.join("second");
        Box::pin(host(&self.config, self.postgres.url(), data)).await
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
        Box::pin(self.host.stop())
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        self.postgres
            .stop()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

async fn host(config: &Config, url: &str, data: PathBuf) -> Host {
    let config = Config {
        data,
        ..config.clone()
    };
    let pool = db::connect(url, config.database_connections).await;
    let parts = Parts {
        db: pool.unwrap_or_else(|error| panic!("{error}")),
        clock: Clock::system(),
        random: Random::system(),
        master_key: [7; 32],
        program: program(),
    };
    Host::start(config, parts, Pace::Time)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The provider of a bench: a process of its own, so that its memory is not the host's. It never answers, or says one
/// word and no more where it is asked for `half`.
pub struct Silent {
    _process: tokio::process::Child,
    pub base_url: String,
}

/// What the silent provider is asked for by name.
const ROLE: &str = "--provider";

impl Silent {
    /// Becomes the provider where this process was started as one.
    pub fn play() {
        if std::env::args().any(|argument| argument == ROLE) {
            silent();
            std::process::exit(0);
        }
    }

    pub async fn start() -> Self {
        let program = std::env::current_exe().unwrap_or_else(|error| panic!("{error}"));
        let mut process = tokio::process::Command::new(program)
            .arg(ROLE)
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{error}"));
        let mut line = [0; 64];
        let mut stdout = process.stdout.take().expect("it has one");
        let read = stdout.read(&mut line).await;
        let read = read.unwrap_or_else(|error| panic!("{error}"));
        let address = String::from_utf8_lossy(&line[..read]);
        Self {
            _process: process,
            base_url: format!("http://{}/v1", address.trim()),
        }
    }

    /// Makes it an organization's model.
    pub async fn connect(&self, client: &Client) {
        let connection = serde_json::json!({
            "kind": "openai", "base_url": self.base_url, "default_model": "m", "api_key": "k"
        });
        let put = client.put("/model-connections/default", &connection).await;
        assert!(put.status.is_success(), "{}", put.text);
    }
}

#[expect(clippy::print_stdout, reason = "the address is for the parent")]
fn silent() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.unwrap_or_else(|error| panic!("{error}"));
        let address = listener.local_addr();
        println!("{}", address.unwrap_or_else(|error| panic!("{error}")));
        while let Ok((stream, _)) = listener.accept().await {
            // It is the bench's own process: nobody waits for its tasks.
            #[expect(clippy::disallowed_methods, reason = "no host runs here")]
            tokio::spawn(hold(stream));
        }
    });
}

/// Reads, says half of an answer where it is asked to, and keeps the connection until the other side closes it.
async fn hold(mut stream: TcpStream) {
    const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
         data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n";
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = stream.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        if buffer[..read].windows(4).any(|word| word == b"half")
            && stream.write_all(HALF.as_bytes()).await.is_err()
        {
            return;
        }
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
