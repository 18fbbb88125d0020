//! The database of a round: one on the tests' server, or, where PostgreSQL itself is to suffer, on a server of its own
//! that promises what an operator's does. Every statement of the harness here waits until the server is back.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bulkhead::kit::db;
use bulkhead::postgres::find::usual_folders;
use bulkhead::postgres::{Options, Postgres};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::database::{self, Database};
use crate::folder::Folder;

/// What seals compiled guests in every cluster of its own, so that they are compiled once.
const ARTIFACT_KEY: &[u8; 32] = b"the artifact key of chaos rounds";

#[derive(Debug)]
pub enum Cluster {
    Shared(Database),
    Own(Box<Own>),
}

/// A server of the round's own.
#[derive(Debug)]
pub struct Own {
    /// Declared before what it lies in.
    postgres: Mutex<Option<Postgres>>,
    mount: Option<Mount>,
    folder: Folder,
    url: String,
}

/// A file system of a bounded size.
#[derive(Debug)]
struct Mount(PathBuf);

impl Cluster {
    pub async fn shared() -> Self {
        Self::Shared(database::fresh().await)
    }

    /// `bytes` bounds the disk it has. `None` where this user may mount nothing.
    pub async fn own(bytes: Option<u64>) -> Result<Option<Self>, String> {
        let folder = Folder::new();
        let mount = match bytes {
            None => None,
            Some(bytes) => match Mount::new(folder.join("disk"), bytes) {
                Some(mount) => Some(mount),
                None => return Ok(None),
            },
        };
        let mut own = Own {
            postgres: Mutex::new(None),
            mount,
            folder,
            url: String::new(),
        };
        own.start().await?;
        if let Some(postgres) = &*own.postgres.lock().await {
            postgres.url().clone_into(&mut own.url);
        }
        prepare(&own.url).await?;
        Ok(Some(Self::Own(Box::new(own))))
    }

    pub fn url(&self) -> &str {
        match self {
            Self::Shared(database) => database.url(),
            Self::Own(own) => &own.url,
        }
    }

    /// Whether it is not the tests' server.
    pub fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    pub fn server(&self) -> Result<&Own, String> {
        match self {
            Self::Own(own) => Ok(own),
            Self::Shared(_) => Err("the tests' server is not to suffer".to_owned()),
        }
    }

    pub async fn close(self) -> Result<(), String> {
        match self {
            Self::Shared(_) => Ok(()),
            Self::Own(own) => own.stop().await,
        }
    }
}

async fn prepare(url: &str) -> Result<(), String> {
    let pool = db::connect(url, 1).await.map_err(|e| format!("{e:?}"))?;
    db::migrate(&pool).await.map_err(|e| format!("{e:?}"))?;
    sqlx::query("insert into host_settings (name, value) values ('artifacts', $1)")
        .bind(&ARTIFACT_KEY[..])
        .execute(&pool)
        .await
        .map_err(|error| error.to_string())?;
    pool.close().await;
    Ok(())
}

impl Own {
    fn data(&self) -> PathBuf {
        match &self.mount {
            Some(mount) => mount.0.join("own"),
            None => self.folder.join("own"),
        }
    }

    /// Starts it, repaired where it died.
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness has no configuration to read PATH"
    )]
    pub async fn start(&self) -> Result<(), String> {
        let options = Options {
            data: self.data(),
            path: std::env::var_os("PATH"),
            folders: usual_folders(),
            durable: true,
        };
        let started = Postgres::start(options).await;
        *self.postgres.lock().await = Some(started.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// Stops it in order.
    pub async fn stop(&self) -> Result<(), String> {
        match self.postgres.lock().await.take() {
            Some(postgres) => postgres.stop().await.map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Stops it as a crash would: no checkpoint, every backend gone.
    pub async fn stop_at_once(&self) -> Result<(), String> {
        self.signal(Signal::SIGQUIT).await;
        self.stop().await
    }

    /// Starts it again where it has given up.
    pub async fn revive(&self) -> Result<(), String> {
        let server = self.postgres.lock().await.as_ref().map(Postgres::pid);
        let status = server.map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")));
        // One that ended and is not waited for yet is a zombie.
        let lives = status.is_some_and(|text| text.is_ok_and(|text| !text.contains(") Z ")));
        if lives {
            return Ok(());
        }
        self.stop().await?;
        self.start().await
    }

    /// Every process of the server, its own first.
    async fn processes(&self) -> Vec<Pid> {
        let Some(server) = self.postgres.lock().await.as_ref().map(Postgres::pid) else {
            return Vec::new();
        };
        let parent = format!("PPid:\t{server}\n");
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let children = entries.filter_map(|entry| {
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            status.contains(&parent).then_some(pid)
        });
        let server = i32::try_from(server).unwrap_or_default();
        std::iter::once(server)
            .chain(children)
            .map(Pid::from_raw)
            .collect()
    }

    async fn signal(&self, how: Signal) {
        if let Some(server) = self.processes().await.first() {
            // One that is gone already needs none.
            let _ = kill(*server, how);
        }
    }

    /// Nothing of it moves for so long.
    pub async fn freeze(&self, pause: Duration) {
        // The server first: it would make new processes.
        self.signal(Signal::SIGSTOP).await;
        let processes = self.processes().await;
        for process in &processes {
            let _ = kill(*process, Signal::SIGSTOP);
        }
        tokio::time::sleep(pause).await;
        for process in processes.iter().rev() {
            let _ = kill(*process, Signal::SIGCONT);
        }
    }

    /// Fills its disk to the last page, until the file is removed.
    pub fn fill(&self) -> Result<PathBuf, String> {
        let mount = self.mount.as_ref().ok_or("its disk is not bounded")?;
        let path = mount.0.join("ballast");
        let mut file = fs::File::create(&path).map_err(|error| error.to_string())?;
        let page = vec![0_u8; 1 << 12];
        while std::io::Write::write_all(&mut file, &page).is_ok() {}
        Ok(path)
    }
}

impl Mount {
    fn new(path: PathBuf, bytes: u64) -> Option<Self> {
        fs::DirBuilder::new().mode(0o711).create(&path).ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={bytes},mode=0711"))
            .arg("tmpfs")
            .arg(&path)
            .output();
        mounted.ok()?.status.success().then_some(Self(path))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// A pool for the harness: it asks again while the server is away.
pub async fn pool(url: &str) -> Result<PgPool, String> {
    db::connect(url, 4).await.map_err(|e| format!("{e:?}"))
}

/// Asks until there is an answer, for as long as a round may take.
pub async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut last = String::new();
    for _ in 0..300 {
        match tokio::time::timeout(Duration::from_secs(2), ask()).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => "no answer within 2 s".clone_into(&mut last),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("the database does not come back: {last}"))
}
