//! One host of a round in a process of its own: started, killed, stopped, frozen, asked to go; its log read to the
//! last line, its descriptors and threads counted.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use bulkhead::kit::Tasks;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::folder::Folder;
use crate::host::{MASTER_KEY, guest_target, program, share_artifacts};

/// Settings as an operator gives them: `BULKHEAD__…` and its value.
pub type Settings = Vec<(String, String)>;

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    pub descriptors: usize,
    pub threads: usize,
    pub resident_bytes: usize,
}

/// A host that may be there or not.
#[derive(Debug)]
pub struct Node {
    pub number: usize,
    pub folder: Folder,
    database_url: String,
    settings: Settings,
    process: tokio::sync::Mutex<Option<Process>>,
    /// Where it listens; none while it is down.
    url: RwLock<Option<String>>,
    log: Arc<Mutex<Vec<Value>>>,
    tasks: Tasks,
}

#[derive(Debug)]
struct Process {
    child: Child,
    id: String,
    at_start: Footprint,
}

impl Node {
    /// Whose compiled guests it uses: the tests', those of clusters of their own, or a copy that it alone has.
    pub fn new(number: usize, database_url: &str, settings: Settings) -> Self {
        Self {
            number,
            folder: Folder::new(),
            database_url: database_url.to_owned(),
            settings,
            process: tokio::sync::Mutex::new(None),
            url: RwLock::new(None),
            log: Arc::default(),
            tasks: Tasks::current(),
        }
    }

    pub fn share_artifacts(&self, own_cluster: bool) -> Result<(), String> {
        if !own_cluster {
            share_artifacts(&self.folder);
            return Ok(());
        }
        let shared = guest_target().join("chaos-artifacts");
        fs::create_dir_all(&shared).map_err(|error| error.to_string())?;
        std::os::unix::fs::symlink(&shared, self.folder.join("artifacts"))
            .map_err(|error| error.to_string())
    }

    /// Starts it; when this returns, it answers.
    pub async fn start(&self) -> Result<(), String> {
        let mut process = self.process.lock().await;
        let key: String = MASTER_KEY.iter().map(|b| format!("{b:02x}")).collect();
        let mut child = Command::new(program())
            .args(["serve", "--output", "json", "--log", "info"])
            .env_clear()
            .env("DATABASE_URL", &self.database_url)
            .env("BULKHEAD_MASTER_KEY", key)
            .env("BULKHEAD__DATA", &*self.folder)
            .envs(self.settings.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("node {} cannot be run: {error}", self.number))?;
        let stdout = child.stdout.take().ok_or("it has no output")?;
        if let Some(stderr) = child.stderr.take() {
            self.tasks.spawn(keep(stderr, Arc::clone(&self.log)));
        }
        let ready = first_line(BufReader::new(stdout).lines()).await;
        let ready = ready.ok_or_else(|| format!("node {} does not start", self.number))?;
        let url = ready["url"].as_str().unwrap_or_default().to_owned();
        let id = ready["node"].as_str().unwrap_or_default();
        *process = Some(Process {
            id: id.trim_start_matches("node_").to_owned(),
            at_start: footprint(&child),
            child,
        });
        *self.url.write().unwrap_or_else(|e| e.into_inner()) = Some(url);
        Ok(())
    }

    /// Starts it as often as it takes: what it needs may be away.
    pub async fn start_at_last(&self) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..20 {
            match self.start().await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(last)
    }

    pub fn url(&self) -> Option<String> {
        self.url.read().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// The id of the node in the database, for as long as it runs.
    pub async fn id(&self) -> Option<String> {
        let process = self.process.lock().await;
        process.as_ref().map(|process| process.id.clone())
    }

    /// What it held when it was ready, and what it holds now.
    pub async fn footprints(&self) -> Option<(Footprint, Footprint)> {
        let process = self.process.lock().await;
        let process = process.as_ref()?;
        Some((process.at_start, footprint(&process.child)))
    }

    /// Ends it without a word.
    pub async fn kill(&self) {
        self.forget_url();
        if let Some(mut process) = self.process.lock().await.take() {
            // It cannot refuse, and it is waited for.
            let _ = process.child.kill().await;
        }
    }

    /// Asks it to go and waits until it has: how it ended.
    pub async fn leave(&self, bound: Duration) -> Result<(), String> {
        self.signal(Signal::SIGTERM).await;
        self.forget_url();
        let Some(mut process) = self.process.lock().await.take() else {
            return Ok(());
        };
        match tokio::time::timeout(bound, process.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(ended) => Err(format!("node {} ended with {ended:?}", self.number)),
            Err(_) => Err(format!("node {} is there after {bound:?}", self.number)),
        }
    }

    /// Whether it has ended by itself.
    pub async fn has_ended(&self) -> bool {
        match &mut *self.process.lock().await {
            Some(process) => process
                .child
                .try_wait()
                .is_ok_and(|status| status.is_some()),
            None => false,
        }
    }

    pub async fn signal(&self, how: Signal) {
        let process = self.process.lock().await;
        let pid = process.as_ref().and_then(|process| process.child.id());
        if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), how);
        }
    }

    /// Everything it logged so far, in all its lives.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn forget_url(&self) {
        *self.url.write().unwrap_or_else(|e| e.into_inner()) = None;
    }
}

async fn first_line<R: AsyncRead + Unpin>(mut lines: Lines<BufReader<R>>) -> Option<Value> {
    let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
    serde_json::from_str(&line.ok()?.ok()??).ok()
}

async fn keep(stderr: ChildStderr, log: Arc<Mutex<Vec<Value>>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        // A line that is no JSON is kept as one that nobody announced.
        let line = serde_json::from_str(&line)
            .unwrap_or_else(|_| serde_json::json!({ "level": "ERROR", "message": line }));
        log.lock().unwrap_or_else(|e| e.into_inner()).push(line);
    }
}

fn footprint(child: &Child) -> Footprint {
    let Some(pid) = child.id() else {
        return Footprint::default();
    };
    let proc = Path::new("/proc").join(pid.to_string());
    let count = |what: &str| fs::read_dir(proc.join(what)).map_or(0, Iterator::count);
    let pages = fs::read_to_string(proc.join("statm")).unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    Footprint {
        descriptors: count("fd"),
        threads: count("task"),
        resident_bytes: resident.unwrap_or(0_usize) * 4_096,
    }
}
