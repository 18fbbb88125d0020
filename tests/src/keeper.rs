//! One PostgreSQL for all test processes of a run: a keeper process starts it, tells its URL to
//! whoever connects, and ends with the last connection, which the kernel closes even after kill -9.
//! Used by `database`; the program is `src/bin/keeper.rs`.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader, Read},
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::folder;

/// The first process of a run waits for `initdb` on a machine busy with tests.
const JOINS_WITHIN: Duration = Duration::from_secs(120);

/// A share in the running server; it runs at least as long as this lives.
#[derive(Debug)]
pub struct Share {
    url: String,
    _connection: UnixStream,
}

impl Share {
    /// Joins the keeper of a folder, starting one if need be.
    pub fn join(folder: &Path) -> Result<Self, String> {
        let begin = Instant::now();
        let mut keeper: Option<Child> = None;
        loop {
            if let Some(share) = Self::ask(folder) {
                return Ok(share);
            }
            // One that ended well found another at work, perhaps at its last: ask again.
            let ended = keeper
                .as_mut()
                .map(|child| child.try_wait().map_err(|e| e.to_string()));
            match ended.transpose()?.flatten() {
                Some(status) if !status.success() => return Err(complaint(keeper)),
                Some(_) => keeper = None,
                None if keeper.is_none() => keeper = Some(spawn(folder)?),
                None => {}
            }
            if begin.elapsed() > JOINS_WITHIN {
                return Err(format!("no PostgreSQL within {JOINS_WITHIN:?}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The server's URL; its database `bulkhead` is for administration only.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn ask(folder: &Path) -> Option<Self> {
        let connection = UnixStream::connect(socket(folder)).ok()?;
        connection.set_read_timeout(Some(JOINS_WITHIN)).ok()?;
        let mut line = String::new();
        // No line end: the keeper was just closing.
        BufReader::new(&connection).read_line(&mut line).ok()?;
        let url = line.strip_suffix('\n')?.to_owned();
        Some(Self {
            url,
            _connection: connection,
        })
    }
}

/// Where the keeper of this checkout works.
pub fn folder() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    let (user, checkout) = (nix::unistd::geteuid(), hasher.finish());
    folder::top().join(format!("bulkhead-tests-{user}-{checkout:016x}"))
}

/// The keeper's own socket in its folder.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("keeper.sock")
}

/// Starts a keeper out of the test's terminal and output: it outlives the test by a moment.
pub fn spawn(folder: &Path) -> Result<Child, String> {
    let program = program()?;
    Command::new(&program)
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))
}

/// Cargo builds it with the tests, one folder above them.
fn program() -> Result<PathBuf, String> {
    let test = std::env::current_exe()
        .and_then(fs::canonicalize)
        .map_err(|e| e.to_string())?;
    let mut programs = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|f| f.join("bulkhead-tests-keeper"));
    programs.find(|program| program.is_file()).ok_or_else(|| {
        "build it first: cargo build -p bulkhead-tests --bin bulkhead-tests-keeper".to_owned()
    })
}

fn complaint(keeper: Option<Child>) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = keeper.and_then(|mut child| child.stderr.take()) {
        // Half a complaint is better than none.
        let _ = stderr.read_to_string(&mut text);
    }
    text
}
