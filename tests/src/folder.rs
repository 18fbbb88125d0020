//! A folder of a test's own, gone when the test ends. Short of path and passable for everybody,
//! because PostgreSQL may run as another user below it.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    ops::Deref,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Once, OnceLock},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::statvfs::statvfs,
};

/// What the folders of a run may come to, several times over.
const MEMORY_BYTES_MIN: u128 = 4 << 30;

/// Removes itself with all that is in it. One whose process was killed goes with the next run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The kernel lets go of it when the process dies, however it dies.
    _alive: Flock<File>,
}

impl Folder {
    /// A new, empty one.
    pub fn new() -> Self {
        static SWEEP: Once = Once::new();
        let prefix = format!("bulkhead-it-{}-", nix::unistd::geteuid());
        SWEEP.call_once(|| sweep(&prefix));
        Self::below(top(), &prefix)
    }

    /// One on the disk: for what measures durable writes.
    pub fn on_disk() -> Self {
        let prefix = format!("bulkhead-it-{}-", nix::unistd::geteuid());
        Self::below(Path::new("/var/tmp"), &prefix)
    }

    fn below(top: &Path, prefix: &str) -> Self {
        loop {
            let path = top.join(format!("{prefix}{:016x}", random()));
            fs::create_dir(&path).expect("the name is random");
            set_mode(&path, 0o711);
            // Another run may sweep it away before it is locked.
            let lock = claim(&path);
            if let Some(alive) = lock.filter(|_| path.exists()) {
                return Self {
                    path,
                    _alive: alive,
                };
            }
        }
    }
}

/// Where the tests' folders are made: in memory where there is plenty of it, since making and
/// removing clusters keeps a disk busier than the tests do.
pub fn top() -> &'static Path {
    static TOP: OnceLock<&Path> = OnceLock::new();
    TOP.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let free = statvfs(memory)
            .map(|about| u128::from(about.blocks_available()) * u128::from(about.fragment_size()));
        if free.is_ok_and(|bytes| bytes >= MEMORY_BYTES_MIN) {
            memory
        } else {
            Path::new("/tmp")
        }
    })
}

fn claim(folder: &Path) -> Option<Flock<File>> {
    Flock::lock(File::open(folder).ok()?, FlockArg::LockExclusiveNonblock).ok()
}

fn sweep(prefix: &str) {
    let entries = fs::read_dir(top()).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)) {
        if let Some(_dead) = claim(&entry.path()) {
            // Somebody else's, or still in use by a server just ending: the next run tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What a server that is just ending removes itself may vanish under the first attempt.
        let _ = (0..3).find(|_| fs::remove_dir_all(&self.path).is_ok());
    }
}

/// Sets permissions regardless of the process's mask.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the folder is the test's");
}

/// Differs at every call and in every process.
pub fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
