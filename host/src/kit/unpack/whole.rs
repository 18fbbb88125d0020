//! A folder that appears whole or not at all: unpacked beside its place, finished there, and renamed.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;

use cap_std::fs::{Dir, Permissions};

use super::{Plan, Refused, Unpacked, unpack};

/// Unpacks into a new folder `name` of `parent`. `finish` does what is left to do before it gets its name; what it
/// refuses, and what an interrupted earlier call left, is removed. Callers hold a lock where two could do so at once.
pub fn unpack_as(
    archive: impl Read,
    (parent, name): (&Dir, &str),
    plan: &Plan,
    finish: impl FnOnce(&Dir) -> Result<(), Refused>,
) -> Result<Unpacked, Refused> {
    let part = format!("{name}.part");
    remove(parent, &part)?;
    let made = make(parent, &part).and_then(|folder| {
        let unpacked = unpack(archive, &folder, plan)?;
        finish(&folder)?;
        parent
            .rename(&part, parent, name)
            .map_err(Refused::io("rename", part.clone()))?;
        Ok(unpacked)
    });
    if made.is_err() {
        // The refusal is what to tell; a leftover is removed by the next call.
        let _ = remove(parent, &part);
    }
    made
}

fn make(parent: &Dir, name: &str) -> Result<Dir, Refused> {
    let open = Permissions::from_std(std::fs::Permissions::from_mode(0o755));
    parent
        .create_dir(name)
        .and_then(|()| parent.set_permissions(name, open))
        .and_then(|()| parent.open_dir(name))
        .map_err(Refused::io("create", name))
}

fn remove(parent: &Dir, name: &str) -> Result<(), Refused> {
    match parent.remove_dir_all(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Refused::io("remove", name)(error))
        }
        _ => Ok(()),
    }
}
