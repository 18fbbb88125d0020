//! The user the server runs as: this one, or an unprivileged one when the host is root, because
//! PostgreSQL refuses root. Used for every program this room starts.
//! Must hold: a started program sees none of the host's environment, which may carry secrets.

use std::{
    fs, io,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::{Gid, Uid, User};

use super::error::Error;

/// Whom the server runs as.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) name: String,
    gid: u32,
    /// True when the host is root and steps down to this account.
    switches: bool,
}

impl Account {
    /// Chooses for a cluster, which may not exist yet. As root, an existing cluster is run by its
    /// owner; a new one by `postgres`, else `nobody`.
    pub(super) fn for_cluster(cluster: &Path) -> Result<Self, Error> {
        let owner = owner(cluster)?;
        let me = Uid::effective();
        if !me.is_root() {
            let account = Self {
                switches: false,
                ..Self::from_uid(me.as_raw())
            };
            return match owner {
                Some(uid) if uid != account.uid => Err(account.foreign(cluster, uid)),
                _ => Ok(account),
            };
        }
        match owner {
            None => Ok(Self::unprivileged()),
            Some(0) => Err(Self::unprivileged().foreign(cluster, 0)),
            Some(uid) => Ok(Self::from_uid(uid)),
        }
    }

    /// A program of this account in its own process group, so that Ctrl-C in the terminal reaches
    /// only the host, which then stops it in order.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("PATH", "/usr/bin:/bin");
        command
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if self.switches {
            // The standard library clears the supplementary groups when root sets a user.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes the account the only one to enter a folder.
    pub(super) fn own(&self, folder: &Path) -> Result<(), Error> {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|error| Error::io("set the permissions of", folder, error))?;
        if self.switches {
            chown(folder, Some(self.uid), Some(self.gid))
                .map_err(|error| Error::io("change the owner of", folder, error))?;
        }
        Ok(())
    }

    /// Whether the account may pass through a folder and all above it, by their permission bits.
    /// Access lists are not read: what they add is not needed, the state folder serves as well.
    pub(super) fn can_enter(&self, folder: &Path) -> bool {
        !self.switches
            || folder.ancestors().all(|folder| {
                fs::metadata(folder).is_ok_and(|metadata| {
                    let shift = match () {
                        () if metadata.uid() == self.uid => 6,
                        () if metadata.gid() == self.gid => 3,
                        () => 0,
                    };
                    metadata.mode() >> shift & 1 == 1
                })
            })
    }

    fn unprivileged() -> Self {
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map_or_else(|| Self::from_uid(65_534), Self::from_user)
    }

    fn from_uid(uid: u32) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        user.map_or_else(
            || Self {
                uid,
                name: uid.to_string(),
                gid: uid,
                switches: true,
            },
            Self::from_user,
        )
    }

    fn from_user(user: User) -> Self {
        let User { name, uid, gid, .. } = user;
        Self {
            uid: uid.as_raw(),
            name,
            gid: Gid::as_raw(gid),
            switches: true,
        }
    }

    fn foreign(&self, path: &Path, owner: u32) -> Error {
        Error::Foreign {
            path: path.into(),
            owner: Self::from_uid(owner).name,
            expected: self.name.clone(),
        }
    }
}

/// Whose a complete cluster is; anything less is put aside or made anew, whoever made it.
fn owner(cluster: &Path) -> Result<Option<u32>, Error> {
    let control = cluster.join("global/pg_control");
    let metadata = match fs::metadata(&control) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => fs::metadata(cluster),
        answer => answer,
    };
    match metadata {
        Ok(metadata) => Ok(Some(metadata.uid())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(Error::io("look at", control, error)),
    }
}
