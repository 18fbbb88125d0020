//! The embedded default database: finds, makes, starts and stops a private PostgreSQL.
//! Called by the `dev` command and by the test harness; knows nothing of the rest of the host.
//! Must hold: one host per data folder, no TCP, never as root, nothing left running after the host
//! that the next start does not clear.

mod account;
mod cluster;
mod error;
pub mod find;
mod lock;
mod log;
pub mod package;
mod place;
mod probe;
mod server;
mod settings;
mod survivor;

use std::{ffi::OsString, path::PathBuf};

pub use self::error::Error;
pub use self::lock::Lock;
use self::{place::Place, server::Server};

/// What a start needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder, usually `.bulkhead`; made when missing.
    pub data: PathBuf,
    /// The value of `PATH`, read by the configuration.
    pub path: Option<OsString>,
    /// Where programs are looked for after it, usually [`find::usual_folders`].
    pub folders: Vec<PathBuf>,
    /// False gives up every promise about power cuts for speed: for tests only.
    pub durable: bool,
}

/// A running PostgreSQL, holding its folder's lock. Dropped without [`Postgres::stop`] it asks the
/// server to stop but does not wait.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    // Declared before the place: the server is told to stop before the lock is let go.
    server: Server,
    place: Place,
}

impl Postgres {
    /// Starts a folder's database, made or repaired first; returns once it takes connections.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let mut place = Place::settle(&options.data)?;
        survivor::clear(&place).await?;
        place.claim()?;
        let binaries = cluster::prepare(&place, &options).await?;
        place.prepare_socket()?;
        let server = Server::start(&place, &binaries, options.durable).await?;
        Ok(Self {
            url: place.url(),
            server,
            place,
        })
    }

    /// The address to connect to, understood by sqlx and by `psql`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Stops the server and waits until it is gone: in order first, at once after a bound.
    pub async fn stop(self) -> Result<(), Error> {
        self.server.stop().await?;
        self.place.remove_socket();
        Ok(())
    }
}
