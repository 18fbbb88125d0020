//! The database of a `dev`: its own PostgreSQL in the data folder, or the one `DATABASE_URL` names. Either way the
//! folder is held against a second host.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::programs;
use crate::cli::terminal::Failure;
use crate::config::Surroundings;
use crate::postgres::{Lock, Postgres};

/// A database and the held data folder.
#[derive(Debug)]
pub(in crate::cli) enum Database {
    Embedded(Box<Postgres>),
    Given { url: String, _held: Lock },
}

impl Database {
    pub(in crate::cli) async fn open(
        data: &Path,
        surroundings: &Surroundings,
    ) -> Result<Self, Failure> {
        if let Some(url) = &surroundings.database_url {
            let held = hold(data)?;
            return Ok(Self::Given {
                url: url.expose().to_owned(),
                _held: held,
            });
        }
        let options = programs::options(data, surroundings);
        Ok(Self::Embedded(Box::new(Postgres::start(options).await?)))
    }

    pub(super) fn url(&self) -> &str {
        match self {
            Self::Embedded(postgres) => postgres.url(),
            Self::Given { url, .. } => url,
        }
    }

    /// The address for other commands, where it holds no secret.
    pub(super) fn public_url(&self) -> Option<String> {
        match self {
            Self::Embedded(postgres) => Some(postgres.url().to_owned()),
            Self::Given { .. } => None,
        }
    }

    /// The process that must not outlive the host.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Embedded(postgres) => Some(postgres.pid()),
            Self::Given { .. } => None,
        }
    }

    pub(in crate::cli) async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Embedded(postgres) => Ok(postgres.stop().await?),
            Self::Given { .. } => Ok(()),
        }
    }
}

/// Makes the data folder where it is missing, and holds it against a second host.
pub(in crate::cli) fn hold(data: &Path) -> Result<Lock, Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data);
    made.map_err(|error| Failure::new("io", format!("cannot create {}: {error}", data.display())))?;
    Ok(Lock::take(data)?)
}

/// Refuses at once a folder that another host holds: everything else would take longer to find out.
pub(super) fn refuse_held(data: &Path) -> Result<(), Failure> {
    if data.is_dir() {
        drop(Lock::take(&PathBuf::from(data))?);
    }
    Ok(())
}

/// At once, for a second Ctrl-C: the server drops everything and recovers at its next start.
pub(super) fn end_at_once(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
    }
}
