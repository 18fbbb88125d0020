//! The program under test, run as a child: once to its end, or as a `dev` that is stopped or killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bulkhead_tests::guests;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A cold guest build on a busy machine is what takes longest.
const READY_WITHIN: Duration = Duration::from_secs(900);
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The single document on stdout.
    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("one document: {self:?}"))
    }

    /// The single line on stderr of a command that was refused.
    pub(crate) fn refusal(&self, status: i32) -> &str {
        assert_eq!(
            (self.status, self.stdout.as_str()),
            (status, ""),
            "{self:?}"
        );
        let line = self.stderr.trim_end();
        assert!(
            line.starts_with("error: ") && !line.contains('\n'),
            "one line: {self:?}"
        );
        line
    }
}

/// The program with nothing of this test run's environment that it would listen to.
pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-under-test"));
    command
        .args(words)
        .current_dir(guests::root())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for name in ["DATABASE_URL", "RUSTFLAGS", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    for name in [
        "URL",
        "ORG",
        "API_KEY",
        "MASTER_KEY",
        "LOG",
        "CONFIG",
        "_DATA",
        "_LISTEN",
    ] {
        command.env_remove(format!("BULKHEAD_{name}"));
    }
    command
}

/// Runs a command to its end.
pub(crate) async fn run(words: &[&str]) -> Ended {
    ended(command(words)).await
}

pub(crate) async fn ended(command: Command) -> Ended {
    within(ENDS_WITHIN, command).await
}

/// Runs a command that builds something to its end.
pub(crate) async fn built(command: Command) -> Ended {
    within(READY_WITHIN, command).await
}

async fn within(most: Duration, mut command: Command) -> Ended {
    let output = timeout(most, command.output())
        .await
        .expect("it ends in time")
        .unwrap();
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A `dev` that is ready.
#[derive(Debug)]
pub(crate) struct Dev {
    child: Child,
    /// The line it printed.
    pub(crate) ready: Value,
}

impl Dev {
    /// Starts one on a data folder, on a free port; panics with its words where it does not get ready.
    pub(crate) async fn start(data: &Path, more: &[&str]) -> Self {
        let words = [
            "dev",
            "--data",
            data.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--output",
            "json",
        ];
        let started = Self::try_start(command(&[&words, more].concat()), data).await;
        started.unwrap_or_else(|said| panic!("not ready: {said:?}"))
    }

    /// Starts a `dev` that prints JSON; its words where it does not get ready.
    pub(crate) async fn try_start(mut command: Command, data: &Path) -> Result<Self, String> {
        // A file takes whatever it says, also after nobody reads any more.
        let log = data.with_extension("log");
        command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let reading = timeout(READY_WITHIN, stdout.read_line(&mut line)).await;
        reading.expect("it is ready in time").unwrap();
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Self { child, ready }),
            Err(_) => Err(std::fs::read_to_string(&log).unwrap()),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.ready[field]
            .as_str()
            .unwrap_or_else(|| panic!("{field} in {}", self.ready))
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end.
    pub(crate) async fn stop(mut self) -> i32 {
        send(self.pid(), Signal::SIGINT);
        let status = timeout(ENDS_WITHIN, self.child.wait())
            .await
            .expect("it stops in time");
        status.unwrap().code().unwrap_or(-1)
    }

    /// Ends it without a word.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// The process id of a data folder's database server, while it runs.
pub(crate) fn server(data: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(data.join("postgres/postmaster.pid")).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    kill(Pid::from_raw(pid), None).ok()?;
    Some(pid)
}
