//! The process that keeps PostgreSQL for a run of tests; see the harness's `keeper`.
//! Its one argument is the folder to work in, which it removes at its end.
//! Must hold: at most one works in a folder; it ends soon after the last test process.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use bulkhead::postgres::find::usual_folders;
use bulkhead::postgres::{Options, Postgres};
use bulkhead_tests::{folder::set_mode, keeper};
use nix::fcntl::{Flock, FlockArg};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

/// Long enough for the next process of a run that gives each test its own.
const LINGER: Duration = Duration::from_millis(500);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return ExitCode::FAILURE;
    };
    match keep(&folder).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            // Nobody may be left to read it.
            let _ = writeln!(io::stderr(), "{complaint}");
            ExitCode::FAILURE
        }
    }
}

async fn keep(folder: &Path) -> Result<(), String> {
    let Some(_lock) = lock(folder).map_err(|e| format!("{}: {e}", folder.display()))? else {
        return Ok(());
    };
    let data = folder.join("data");
    if data.exists() {
        // Of a keeper that was killed: its server must be gone before its files are.
        if let Ok(postgres) = start(&data).await {
            postgres.stop().await.map_err(|error| error.to_string())?;
        }
        fs::remove_dir_all(&data).map_err(|e| format!("{}: {e}", data.display()))?;
    }
    let postgres = start(&data).await.map_err(|error| error.to_string())?;
    let served = serve(&keeper::socket(folder), postgres.url()).await;
    postgres.stop().await.map_err(|error| error.to_string())?;
    let removed = fs::remove_dir_all(folder);
    served.and(removed).map_err(|error| error.to_string())
}

/// `None` where another keeper is at work.
fn lock(folder: &Path) -> io::Result<Option<Flock<File>>> {
    loop {
        match DirBuilder::new().mode(0o711).create(folder) {
            Ok(()) => set_mode(folder, 0o711),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let metadata = fs::symlink_metadata(folder)?;
        if !metadata.is_dir() || metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::other(
                "made by somebody else; look at it and remove it",
            ));
        }
        let path = folder.join("lock");
        let Ok(file) = File::create(&path) else {
            continue;
        };
        let Ok(held) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            return Ok(None);
        };
        // A keeper at its end may have removed the file between opening and locking.
        let held_inode = held.metadata()?.ino();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.ino() == held_inode) {
            return Ok(Some(held));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness has no configuration to read PATH"
)]
async fn start(data: &Path) -> Result<Postgres, bulkhead::postgres::Error> {
    let path = std::env::var_os("PATH");
    Postgres::start(Options {
        data: data.into(),
        path,
        folders: usual_folders(),
        durable: false,
    })
    .await
}

async fn serve(socket: &Path, url: &str) -> io::Result<()> {
    if socket.exists() {
        fs::remove_file(socket)?;
    }
    let listener = UnixListener::bind(socket)?;
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                guests.spawn(entertain(accepted?.0, format!("{url}\n")));
            }
            Some(_) = guests.join_next() => {}
            () = tokio::time::sleep(LINGER), if guests.is_empty() => break,
        }
    }
    drop(listener);
    fs::remove_file(socket)
}

/// Until the guest's end of the connection closes.
async fn entertain(mut guest: UnixStream, line: String) {
    if guest.write_all(line.as_bytes()).await.is_ok() {
        let _ = guest.read_u8().await;
    }
}
