//! Finds `initdb` and `postgres`: on PATH, by `pg_config`, in the folders distributions use.
//! Called at each start, and by `doctor` to tell what is there.
//! Must hold: both programs come from one folder, and one that really runs.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Output,
};

use super::{account::Account, error::Error};

/// The oldest major version that is supported.
pub const OLDEST_MAJOR: u32 = 14;

/// Where to look, and for what.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// The value of `PATH`.
    pub path: Option<&'a OsStr>,
    /// Folders tried after it, in order; see [`usual_folders`].
    pub folders: Vec<PathBuf>,
    /// Only this major version will do, because a cluster was made by it.
    pub major: Option<u32>,
}

/// A usable installation.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The folder that holds both programs.
    pub folder: PathBuf,
    /// Its major version.
    pub major: u32,
}

impl<'a> Search<'a> {
    /// On PATH and in the usual folders.
    pub fn usual(path: Option<&'a OsStr>, major: Option<u32>) -> Self {
        Self {
            path,
            folders: usual_folders(),
            major,
        }
    }

    /// Looks for an installation that a new cluster could be made with.
    pub fn run(&self) -> Result<Binaries, Error> {
        let nowhere = Path::new("/nonexistent");
        self.run_as(&Account::for_cluster(nowhere)?, nowhere)
    }

    /// The first installation that serves the cluster and that the account can execute.
    pub(super) fn run_as(&self, account: &Account, cluster: &Path) -> Result<Binaries, Error> {
        let mut skipped = String::new();
        let mut unsuitable = Vec::new();
        let mut seen = HashSet::new();
        for folder in self.candidates(account) {
            if !seen.insert(folder.clone()) {
                continue;
            }
            match major(account, &folder) {
                Ok(major)
                    if self
                        .major
                        .map_or(major >= OLDEST_MAJOR, |only| major == only) =>
                {
                    return Ok(Binaries { folder, major });
                }
                Ok(major) => unsuitable.push((folder, major)),
                Err(error) => {
                    skipped.push_str(&format!(" ({} does not run: {error})", folder.display()));
                }
            }
        }
        Err(match (self.major, unsuitable.first()) {
            (_, None) => Error::NotFound { skipped },
            (None, Some((folder, major))) => Error::TooOld {
                folder: folder.clone(),
                major: *major,
            },
            (Some(made_by), Some(_)) => {
                let found: Vec<_> = unsuitable
                    .iter()
                    .map(|(_, major)| major.to_string())
                    .collect();
                Error::OtherMajor {
                    cluster: cluster.into(),
                    made_by,
                    found: found.join(", "),
                }
            }
        })
    }

    /// Lazily, so that the usual case looks at PATH and no further.
    fn candidates(&self, account: &Account) -> impl Iterator<Item = PathBuf> {
        let on_path = || self.path.into_iter().flat_map(std::env::split_paths);
        let by_config = std::iter::once_with(move || {
            on_path()
                .map(|folder| folder.join("pg_config"))
                .find(|program| program.is_file())
        });
        on_path()
            .chain(
                by_config
                    .flatten()
                    .filter_map(|program| bindir(account, &program)),
            )
            .chain(self.folders.iter().cloned())
            .filter_map(|folder| complete(&folder))
    }
}

/// The folders distributions put PostgreSQL in, newest version first.
pub fn usual_folders() -> Vec<PathBuf> {
    let mut folders = versions("/usr/lib/postgresql", "", "bin");
    folders.extend(versions("/usr", "pgsql-", "bin"));
    folders.push("/usr/local/pgsql/bin".into());
    for homebrew in ["/opt/homebrew/opt", "/usr/local/opt"] {
        folders.extend(versions(homebrew, "postgresql@", "bin"));
        folders.push(Path::new(homebrew).join("postgresql/bin"));
    }
    folders.extend(versions(
        "/Applications/Postgres.app/Contents/Versions",
        "",
        "bin",
    ));
    folders
}

/// `<parent>/<prefix><number>/<rest>`, by falling number.
fn versions(parent: &str, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let number = entry
                .file_name()
                .to_str()?
                .strip_prefix(prefix)?
                .parse()
                .ok()?;
            Some((number, entry.path().join(rest)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

/// The folder that really holds both programs: where the links lead, else the given one.
fn complete(folder: &Path) -> Option<PathBuf> {
    let holds_both = |folder: &Path| {
        folder.is_absolute()
            && ["initdb", "postgres"]
                .iter()
                .all(|program| folder.join(program).is_file())
    };
    let target = fs::canonicalize(folder.join("postgres")).ok()?;
    let resolved = target.parent().filter(|folder| holds_both(folder));
    resolved
        .or_else(|| Some(folder).filter(|folder| holds_both(folder)))
        .map(Path::to_owned)
}

fn bindir(account: &Account, pg_config: &Path) -> Option<PathBuf> {
    let output = account.command(pg_config).arg("--bindir").output().ok()?;
    let folder = output.stdout.trim_ascii();
    (output.status.success() && !folder.is_empty())
        .then(|| PathBuf::from(OsStr::from_bytes(folder)))
}

/// Asks the program itself, as the account: what it cannot execute is of no use.
fn major(account: &Account, folder: &Path) -> io::Result<u32> {
    let Output { stdout, .. } = account
        .command(&folder.join("postgres"))
        .arg("-V")
        .output()?;
    // "postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)", "… 18beta1"
    let text = String::from_utf8_lossy(&stdout);
    let version = text.split(") ").nth(1).unwrap_or_default();
    let digits = version
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap_or_default();
    digits
        .parse()
        .map_err(|_| io::Error::other(format!("it calls itself {:?}", text.trim())))
}
