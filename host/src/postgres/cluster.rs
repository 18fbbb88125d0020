//! The cluster's folder: made whole or not at all, checked and cleared of leftovers at each start.
//! Called only while the folder is locked and no server runs in it.
//! Must hold: `postgres` appears by a rename when it is complete, and no rows are ever deleted.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::{
    Options,
    error::Error,
    find::{Binaries, Search},
    log::last_lines,
    package,
    place::{Place, remove},
};

/// Folders in which a cluster is being made, followed by the process id.
const UNFINISHED: &str = "postgres.new-";

/// Repairs or makes the cluster and says which programs serve it.
pub(super) async fn prepare(place: &Place, options: &Options) -> Result<Binaries, Error> {
    let made_by = tidy(place)?;
    let binaries = programs(place, options, made_by)?;
    if made_by.is_none() {
        make(place, &binaries, options.durable).await?;
    }
    Ok(binaries)
}

impl Options {
    /// The programs a start would use, or the error it would end with for want of them.
    pub fn look(&self) -> Result<Binaries, Error> {
        let place = Place::settle(&self.data)?;
        let cluster = place.cluster();
        let made_by = made_by(&cluster).map_err(|error| Error::io("read", cluster, error))?;
        programs(&place, self, made_by)
    }
}

/// What is installed, else what was fetched for this database.
fn programs(place: &Place, options: &Options, major: Option<u32>) -> Result<Binaries, Error> {
    let mut folders = options.folders.clone();
    folders.extend(package::found(place.base()));
    let search = Search {
        path: options.path.as_deref(),
        folders,
        major,
    };
    search.run_as(&place.account, &place.cluster())
}

/// Removes what interrupted starts left, puts aside what is no cluster, and says which major
/// version made the cluster, if there is one.
fn tidy(place: &Place) -> Result<Option<u32>, Error> {
    let base = place.base();
    let entries = fs::read_dir(base).map_err(|error| Error::io("list", base, error))?;
    for entry in entries.flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(UNFINISHED.as_bytes())
        {
            remove_restless(&entry.path())?;
        }
    }
    let cluster = place.cluster();
    match made_by(&cluster) {
        Ok(Some(major)) => Ok(Some(major)),
        Ok(None) => {
            put_aside(&cluster)?;
            Ok(None)
        }
        Err(error) => Err(Error::io("read", cluster, error)),
    }
}

/// Makes the cluster beside its place and renames it when it is complete.
async fn make(place: &Place, binaries: &Binaries, durable: bool) -> Result<(), Error> {
    let cluster = place.cluster();
    let new = place
        .base()
        .join(format!("{UNFINISHED}{}", std::process::id()));
    DirBuilder::new()
        .mode(0o700)
        .create(&new)
        .map_err(|e| Error::io("create", &new, e))?;
    place.account.own(&new)?;

    let mut initdb = place.account.command(&binaries.folder.join("initdb"));
    initdb
        .arg("--pgdata")
        .arg(&new)
        .args(["--username=bulkhead", "--encoding=UTF8"]);
    // Who may enter the socket's folder is trusted; there is no other way in.
    initdb.args([
        "--locale=C",
        "--auth-local=trust",
        "--auth-host=reject",
        "--no-instructions",
    ]);
    if !durable {
        initdb.arg("--no-sync");
    }
    let mut initdb = tokio::process::Command::from(initdb);
    let output = initdb.kill_on_drop(true).output().await;
    let made = match output {
        Ok(output) if output.status.success() => fs::rename(&new, &cluster)
            .and_then(|()| File::open(place.base())?.sync_all())
            .map_err(|error| Error::io("rename", &new, error)),
        Ok(output) => {
            let output = last_lines(&[output.stdout, output.stderr].concat());
            Err(Error::Initdb { cluster, output })
        }
        Err(error) => Err(Error::io("run", binaries.folder.join("initdb"), error)),
    };
    if made.is_err() {
        // The first error is the one to tell; leftovers are removed by the next start.
        let _ = remove_restless(&new);
    }
    made
}

/// The major version in a complete cluster; `None` where there is none or only a part of one.
fn made_by(cluster: &Path) -> io::Result<Option<u32>> {
    if !cluster
        .join("global/pg_control")
        .try_exists()
        .or_else(not_a_folder)?
    {
        return Ok(None);
    }
    match fs::read_to_string(cluster.join("PG_VERSION")) {
        Ok(version) => Ok(version.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn not_a_folder(error: io::Error) -> io::Result<bool> {
    if error.kind() == io::ErrorKind::NotADirectory {
        Ok(false)
    } else {
        Err(error)
    }
}

/// Keeps what is no cluster under another name: it may be what a repair by hand needs.
fn put_aside(cluster: &Path) -> Result<(), Error> {
    match fs::remove_dir(cluster) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    let kept = (1_u32..)
        .map(|number| cluster.with_extension(format!("broken-{number}")))
        .find(|path| fs::symlink_metadata(path).is_err())
        .expect("a folder holds fewer names than there are numbers");
    fs::rename(cluster, &kept).map_err(|error| Error::io("rename", cluster, error))?;
    tracing::warn!(kept = %kept.display(), "put aside a database folder that is incomplete");
    Ok(())
}

/// An `initdb` that outlived its host may still be writing; it fails soon after its folder is gone.
fn remove_restless(folder: &Path) -> Result<(), Error> {
    let mut attempts = (0..20).map(|_| remove(folder));
    attempts
        .find(Result::is_ok)
        .unwrap_or_else(|| remove(folder))
}
