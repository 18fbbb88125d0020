//! The running server: started in its own process group, awaited until it takes connections,
//! stopped in order. A small watcher stops it when the host dies without a word.
//! Must hold: whoever drops this value leaves no server that goes on working.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

use super::{
    error::Error,
    find::Binaries,
    log::Log,
    place::Place,
    probe::{self, Answer},
    settings,
    survivor::{ENDINGS, POLL, signal},
};

/// A server that does not even listen by then is ill.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
/// Recovery after a crash replays the log of up to a checkpoint's distance; slow disks take long.
const RECOVERS_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Waits for the end of its input, which comes with the host's; then stops the server, if the
/// cluster still is that server's. `$1` is the cluster, `$2` the process.
const WATCHER: &str = r#"
ours() { read -r pid < "$1/postmaster.pid" && [ "$pid" = "$2" ]; }
read -r word
[ "$word" = stopped ] && exit
ours "$@" && kill -INT "$2" || exit
turns=0
while [ "$turns" -lt 200 ] && ours "$@"; do sleep 0.1; turns=$((turns + 1)); done
ours "$@" && kill -QUIT "$2"
"#;

/// The server's process and the one that watches over it.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pid: u32,
    watcher: Option<Child>,
    stopped: bool,
}

impl Server {
    pub(super) async fn start(
        place: &Place,
        binaries: &Binaries,
        durable: bool,
    ) -> Result<Self, Error> {
        let (log, socket, cluster) = (Log::open(place.log())?, place.socket(), place.cluster());
        let program = binaries.folder.join("postgres");
        let mut postgres = place.account.command(&program);
        postgres
            .arg("-D")
            .arg(&cluster)
            .args(settings::arguments(durable, &socket));
        let file = || {
            log.file
                .try_clone()
                .map_err(|error| Error::io("open", &log.path, error))
        };
        postgres.stdout(file()?).stderr(file()?);
        let child = Command::from(postgres).spawn();
        let child = child.map_err(|error| Error::io("run", program, error))?;
        let pid = child.id().unwrap_or_default();
        let mut server = Self {
            child,
            pid,
            watcher: None,
            stopped: false,
        };
        server.watcher = watch(place, &cluster, pid);
        if let Err(why) = server.until_ready(&socket).await {
            return Err(Error::Start {
                why,
                tail: log.tail(),
                log: log.path,
            });
        }
        Ok(server)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) async fn stop(mut self) -> Result<(), Error> {
        for (how, bound) in ENDINGS {
            signal(self.pid, how);
            if timeout(bound, self.child.wait()).await.is_ok() {
                self.stopped = true;
                self.dismiss_watcher().await;
                return Ok(());
            }
        }
        Err(Error::Stuck { pid: self.pid })
    }

    async fn until_ready(&mut self, socket: &Path) -> Result<(), String> {
        let (begin, mut bound) = (Instant::now(), LISTENS_WITHIN);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.stopped = true;
                self.dismiss_watcher().await;
                return Err(format!("it ended with {status}"));
            }
            // Nobody listening is what the first milliseconds look like.
            match probe::ask(socket, "bulkhead").await {
                Ok(Answer::Ready(_)) => return Ok(()),
                Ok(Answer::NoDatabase) => probe::create_database(socket)
                    .await
                    .map_err(|error| format!("its database cannot be made: {error}"))?,
                Ok(Answer::NotYet) => bound = RECOVERS_WITHIN,
                Ok(Answer::Refused(message)) => return Err(message),
                Err(_) => {}
            }
            if begin.elapsed() > bound {
                return Err(format!("no connection within {} s", bound.as_secs()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn dismiss_watcher(&mut self) {
        let Some(mut watcher) = self.watcher.take() else {
            return;
        };
        if let Some(mut input) = watcher.stdin.take() {
            // One that is gone already needs no word.
            let _ = input.write_all(b"stopped\n").await;
        }
        if timeout(Duration::from_secs(2), watcher.wait())
            .await
            .is_err()
        {
            let _ = watcher.start_kill();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.stopped {
            signal(self.pid, Signal::SIGINT);
        }
    }
}

/// Without a shell there is no watcher; the next start then stops what it finds.
fn watch(place: &Place, cluster: &Path, pid: u32) -> Option<Child> {
    let mut shell = place.account.command(Path::new("/bin/sh"));
    shell
        .args(["-c", WATCHER, "bulkhead-watcher"])
        .arg(cluster)
        .arg(pid.to_string());
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match Command::from(shell).spawn() {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::debug!(%error, "no watcher for the database server");
            None
        }
    }
}
