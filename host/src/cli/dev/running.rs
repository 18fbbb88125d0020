//! `dev.json`: what a running `dev` leaves in its data folder for the commands beside it. Written when it is ready,
//! for its user alone; removed when it stops. One that a killed `dev` left is told by its process being gone.

use std::path::{Path, PathBuf};

use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::folder::write_private;
use crate::cli::terminal::Failure;

/// A `dev` that is ready.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Running {
    pub(in crate::cli) url: String,
    pub(in crate::cli) org: String,
    pub(in crate::cli) api_key: String,
    pub(in crate::cli) agent: Option<String>,
    pub(in crate::cli) metrics_url: String,
    pub(in crate::cli) pid: i32,
    /// The embedded database's address, which holds no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) database_url: Option<String>,
}

impl Running {
    /// The `dev` on this data folder, if one runs.
    pub(in crate::cli) fn read(data: &Path) -> Result<Option<Self>, Failure> {
        let path = path(data);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let detail = format!(
                    "cannot read {}: {error}; run as the user `bulkhead dev` runs as",
                    path.display()
                );
                return Err(Failure::new("io", detail));
            }
        };
        // A file of another make is as good as none.
        let Ok(running) = serde_json::from_slice::<Self>(&text) else {
            return Ok(None);
        };
        let alive = running.pid > 0
            && kill(Pid::from_raw(running.pid), None) != Err(nix::errno::Errno::ESRCH);
        Ok(alive.then_some(running))
    }

    pub(in crate::cli) fn write(&self, data: &Path) -> Result<(), Failure> {
        write_private(&path(data), &serde_json::to_vec(self)?)
    }
}

/// At the end: nobody answers any more.
pub(in crate::cli) fn forget(data: &Path) {
    // A file that stays names a process that is gone, which readers see.
    let _ = std::fs::remove_file(path(data));
}

fn path(data: &Path) -> PathBuf {
    data.join("dev.json")
}
