//! Where the files of one database live: in the data folder, or, where the server's user cannot
//! reach that, in a state folder that a pointer in the data folder names.
//! Must hold: both folders are locked, and no folder others could have made is trusted.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, Permissions},
    io::ErrorKind,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use super::{account::Account, error::Error, lock::Lock, log, probe};

/// Holds the path of the state folder.
const POINTER: &str = "postgres.path";
/// Where state folders are made, first choice first. Only root ever needs one.
const STATE_FOLDERS: [&str; 2] = ["/var/lib/bulkhead/", "/var/tmp/bulkhead-"];
/// A socket's path ends at 107 bytes on Linux and at 103 on macOS.
const SOCKET_BYTES_MAX: usize = 103;

/// The folders of one database, locked, and the account they are for.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) account: Account,
    data: PathBuf,
    base: PathBuf,
    /// A state folder that the data folder does not point to yet.
    unclaimed: bool,
    _locks: Vec<Lock>,
}

impl Place {
    /// Makes the data folder if missing, locks it, and decides where the files go.
    pub(super) fn settle(data: &Path) -> Result<Self, Error> {
        let data = open_data(data)?;
        let mut locks = vec![Lock::take(&data)?];
        let pointer = data.join(POINTER);
        let (base, unclaimed) = match fs::read(&pointer) {
            Ok(base) => (
                PathBuf::from(OsStr::from_bytes(base.trim_ascii_end())),
                false,
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let cluster = data.join("postgres");
                let account = Account::for_cluster(&cluster)?;
                if account.can_enter(&data) {
                    return Ok(Self {
                        account,
                        base: data.clone(),
                        data,
                        unclaimed: false,
                        _locks: locks,
                    });
                }
                if cluster.exists() {
                    return Err(Error::Unreachable {
                        path: cluster,
                        account: account.name,
                    });
                }
                (state_folder(&data, &account)?, true)
            }
            Err(error) => return Err(Error::io("read", pointer, error)),
        };
        make_passage(&base)?;
        locks.push(Lock::take(&base)?);
        let account = Account::for_cluster(&base.join("postgres"))?;
        if !account.can_enter(&base) {
            return Err(Error::Unreachable {
                path: base,
                account: account.name,
            });
        }
        Ok(Self {
            account,
            data,
            base,
            unclaimed,
            _locks: locks,
        })
    }

    /// Leaves the pointer to a new state folder. What an earlier, deleted data folder of the same
    /// path left there is put aside: a fresh folder must not bring old rows back.
    pub(super) fn claim(&mut self) -> Result<(), Error> {
        if !self.unclaimed {
            return Ok(());
        }
        let (cluster, old) = (self.cluster(), self.base.join("postgres.old"));
        if cluster.exists() {
            remove(&old)?;
            fs::rename(&cluster, &old).map_err(|error| Error::io("rename", &cluster, error))?;
            tracing::warn!(kept = %old.display(), "put aside the database of a deleted data folder");
        }
        let (pointer, new) = (self.data.join(POINTER), self.data.join("postgres.path.new"));
        fs::write(&new, self.base.as_os_str().as_bytes())
            .and_then(|()| fs::rename(&new, &pointer))
            .map_err(|error| Error::io("write", &pointer, error))?;
        self.unclaimed = false;
        Ok(())
    }

    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.base.join("postgres")
    }

    pub(super) fn log(&self) -> PathBuf {
        log::path_in(&self.base)
    }

    /// The folder of the socket: beside the cluster, or in `/tmp` where that is too long a path.
    pub(super) fn socket(&self) -> PathBuf {
        let beside = self.base.join("socket");
        let bytes = probe::socket_file(&beside).as_os_str().len();
        // A path that is not UTF-8 does not fit into a URL either.
        if bytes <= SOCKET_BYTES_MAX && beside.to_str().is_some() {
            return beside;
        }
        format!(
            "/tmp/bulkhead-{}-{:016x}",
            self.account.uid,
            hash(&self.base)
        )
        .into()
    }

    /// Makes the folder of the socket, for the account alone, and empties it: this is called when
    /// no server of this cluster lives, so whatever lies there is stale.
    pub(super) fn prepare_socket(&self) -> Result<(), Error> {
        let folder = self.socket();
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return self.account.own(&folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io("create", folder, error)),
        }
        let metadata =
            fs::symlink_metadata(&folder).map_err(|e| Error::io("look at", &folder, e))?;
        let private = metadata.is_dir() && metadata.mode() & 0o077 == 0;
        if !private || metadata.uid() != self.account.uid {
            if folder.starts_with(&self.base) {
                // A start that was cut short; only the host's own user can write here.
                remove(&folder)?;
                return self.prepare_socket();
            }
            return Err(Error::Unsafe {
                path: folder,
                expected: self.account.name.clone(),
            });
        }
        let entries = fs::read_dir(&folder).map_err(|error| Error::io("list", &folder, error))?;
        entries
            .flatten()
            .try_for_each(|entry| remove(&entry.path()))
    }

    /// After the server ended. Best effort: an empty folder harms nobody.
    pub(super) fn remove_socket(&self) {
        let _ = fs::remove_dir(self.socket());
    }

    pub(super) fn url(&self) -> String {
        let socket = self.socket();
        let mut url = "postgres://bulkhead@localhost:5432/bulkhead?host=".to_owned();
        for &byte in socket.as_os_str().as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    url.push(char::from(byte));
                }
                _ => url.push_str(&format!("%{byte:02X}")),
            }
        }
        url
    }
}

/// Where the files of a data folder's database are, looked at from outside: nothing is made and nothing held.
pub(super) fn base_of(data: &Path) -> PathBuf {
    match fs::read(data.join(POINTER)) {
        Ok(base) => PathBuf::from(OsStr::from_bytes(base.trim_ascii_end())),
        Err(_) => data.to_owned(),
    }
}

/// Removes a file or a whole folder; missing is fine.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// The data folder, absolute and without links. As root it lets others pass, not look, so that
/// the server's user gets to the cluster.
fn open_data(data: &Path) -> Result<PathBuf, Error> {
    if !data.is_dir() {
        let failed = |error| Error::io("create", data, error);
        if let Some(parent) = data.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mode = if nix::unistd::geteuid().is_root() {
            0o711
        } else {
            0o700
        };
        fs::create_dir(data).map_err(failed)?;
        fs::set_permissions(data, Permissions::from_mode(mode)).map_err(failed)?;
    }
    fs::canonicalize(data).map_err(|error| Error::io("open", data, error))
}

fn state_folder(data: &Path, account: &Account) -> Result<PathBuf, Error> {
    let mut last = None;
    for prefix in STATE_FOLDERS {
        let base = PathBuf::from(format!("{prefix}{:016x}", hash(data)));
        let made = match base.parent() {
            Some(parent) if prefix.ends_with('/') => make_passage(parent),
            _ => Ok(()),
        };
        match made.and_then(|()| make_passage(&base)) {
            Ok(()) if account.can_enter(&base) => return Ok(base),
            Ok(()) => {}
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| Error::Unreachable {
        path: data.into(),
        account: account.name.clone(),
    }))
}

/// A folder of ours that others may pass but neither list nor write to. One that is there already
/// is taken only if nobody else can have put anything into it.
fn make_passage(folder: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o711).create(folder) {
        Ok(()) => {
            return fs::set_permissions(folder, Permissions::from_mode(0o711))
                .map_err(|error| Error::io("set the permissions of", folder, error));
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io("create", folder, error)),
    }
    let metadata = fs::symlink_metadata(folder).map_err(|e| Error::io("look at", folder, e))?;
    let me = nix::unistd::geteuid().as_raw();
    if !metadata.is_dir() || metadata.uid() != me || metadata.mode() & 0o022 != 0 {
        let expected = nix::unistd::geteuid().to_string();
        return Err(Error::Unsafe {
            path: folder.into(),
            expected,
        });
    }
    Ok(())
}

/// FNV-1a: short, and the same in every build, so that a folder is found again.
fn hash(path: &Path) -> u64 {
    path.as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
