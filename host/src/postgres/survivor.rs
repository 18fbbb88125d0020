//! What a killed host or machine left of a server: a live postmaster, its orphans, its pid file.
//! Called first at each start, under the folder's lock, so whatever lives here has no host.
//! Must hold: no process is signalled that is not proven to work in this very cluster.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    error::Error,
    place::{Place, remove},
};

/// How a server is ended and how long each way may take: it closes sessions and writes a
/// checkpoint; it drops everything and recovers at the next start; the kernel ends it.
pub(super) const ENDINGS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(20)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];
/// How often something awaited is looked at.
pub(super) const POLL: Duration = Duration::from_millis(10);
/// Backends notice within moments that their postmaster died.
const ORPHANS_LEAVE: Duration = Duration::from_secs(5);

/// Ends what still runs in the cluster and removes a pid file that would stop the next server.
pub(super) async fn clear(place: &Place) -> Result<(), Error> {
    let cluster = place.cluster();
    let file = cluster.join("postmaster.pid");
    let pid = match fs::read_to_string(&file) {
        Ok(text) => text
            .lines()
            .next()
            .and_then(|line| line.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        Err(error) => return Err(Error::io("read", file, error)),
    };
    if let Some(pid) = pid.filter(|&pid| works_in(pid, &cluster)) {
        tracing::warn!(
            pid,
            "a database server outlived its host; it is stopped first"
        );
        end(pid, &cluster).await?;
    }
    end_orphans(&cluster).await?;
    // The server itself judges the file of a dead process, with the shared memory it names. One
    // that names a stranger, or is cut short, would make it refuse.
    if pid.is_none_or(lives) {
        remove(&file)?;
    }
    Ok(())
}

pub(super) fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // It may end by itself at any moment; whether it did is what the callers then look at.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

async fn end(pid: u32, cluster: &Path) -> Result<(), Error> {
    for (how, bound) in ENDINGS {
        signal(pid, how);
        if until(bound, || !works_in(pid, cluster)).await {
            return Ok(());
        }
    }
    Err(Error::Stuck { pid })
}

/// Two servers' backends in one cluster would destroy it, so the last one must be gone.
async fn end_orphans(cluster: &Path) -> Result<(), Error> {
    if until(ORPHANS_LEAVE, || workers(cluster).is_empty()).await {
        return Ok(());
    }
    workers(cluster)
        .into_iter()
        .for_each(|pid| signal(pid, Signal::SIGKILL));
    until(ORPHANS_LEAVE, || workers(cluster).is_empty()).await;
    workers(cluster)
        .first()
        .map_or(Ok(()), |&pid| Err(Error::Stuck { pid }))
}

async fn until(bound: Duration, mut done: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if done() {
            return true;
        }
        if begin.elapsed() > bound {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn lives(pid: u32) -> bool {
    i32::try_from(pid)
        .is_ok_and(|pid| pid > 0 && kill(Pid::from_raw(pid), None) != Err(nix::Error::ESRCH))
}

/// A server changes into its cluster's folder and stays there, as do all its backends.
fn works_in(pid: u32, cluster: &Path) -> bool {
    if !lives(pid) {
        return false;
    }
    if Path::new("/proc/self/cwd").exists() {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder == cluster);
    }
    // Without /proc, by the folder on its command line.
    let output = Command::new("ps")
        .args(["-o", "args=", "-p", &pid.to_string()])
        .output();
    let folder = cluster.to_string_lossy();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&*folder))
}

/// Every process in the cluster's folder. Without /proc none is found: there the server's own
/// check of its shared memory must do.
fn workers(cluster: &Path) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            let cwd = fs::read_link(PathBuf::from(format!("/proc/{pid}/cwd")));
            cwd.is_ok_and(|folder| folder == cluster)
        })
        .collect()
}
