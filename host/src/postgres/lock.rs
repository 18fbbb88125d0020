//! The lock of a folder: one host at a time. Taken first of all, kept as long as the server runs.
//! Must hold: the kernel lets go of it with the process, so a killed host never blocks the next.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::error::Error;

/// Holds `<folder>/lock`; the file names the process and stays behind, unlocked.
#[derive(Debug)]
pub struct Lock {
    _held: Flock<File>,
}

impl Lock {
    /// Holds a folder that exists; one that another process holds is refused.
    pub fn take(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| Error::io("open", &path, error))?;
        let mut held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut holder = String::new();
                // Unreadable is as good as empty: the answer is the same, only less exact.
                let _ = file.read_to_string(&mut holder);
                return Err(Error::locked(folder, holder.trim().parse().ok()));
            }
            Err((_, errno)) => return Err(Error::io("lock", path, errno.into())),
        };
        held.set_len(0)
            .and_then(|()| held.rewind())
            .and_then(|()| writeln!(held, "{}", std::process::id()))
            .map_err(|error| Error::io("write", path, error))?;
        Ok(Self { _held: held })
    }
}
