//! Compiled components on disk, each under its component's digest and the engine's compatibility, with a keyed code over
//! both and the bytes. Called by agents. Rebuildable: losing one costs a compilation. Loading hostile bytes would be
//! undefined behaviour, so nothing is looked into before its code was proven, on the very bytes that are loaded.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use nix::fcntl::OFlag;
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::kit::Random;
use crate::sandbox::engine::Sandbox;

const MAC_BYTES: usize = 32;
/// What a host that was killed left of an unfinished file is in nobody's way for so long.
const PART_AGE: Duration = Duration::from_secs(3_600);

/// The cache of one data folder; several hosts may share it.
#[derive(Clone)]
pub struct Artifacts {
    folder: PathBuf,
    mac: Hmac<Sha256>,
    compatibility: String,
    bytes_max: u64,
}

impl Artifacts {
    pub fn open(folder: PathBuf, key: &[u8], sandbox: &Sandbox) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        sweep(&folder);
        let mac = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Ok(Self {
            folder,
            mac,
            compatibility: sandbox.compatibility(),
            bytes_max: sandbox.config.compile.artifact_bytes + MAC_BYTES as u64,
        })
    }

    /// The compiled component, where it is cached, whole and ours. Blocks on the disk.
    pub fn load(&self, engine: &Engine, digest: &[u8]) -> Option<Component> {
        let again = |what: &str| {
            let digest = hex::encode(digest);
            tracing::warn!(
                digest,
                what,
                "a cached artifact is not used; compiling again"
            );
        };
        let file = match self.read(digest) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => {
                again(&error.to_string());
                return None;
            }
        };
        let Some((tag, artifact)) = file.split_at_checked(MAC_BYTES) else {
            again("it was cut");
            return None;
        };
        if self.tag(digest, artifact).verify_slice(tag).is_err() {
            again("it was altered");
            return None;
        }
        deserialize(engine, artifact)
            .inspect_err(|error| again(&format!("{error:#}")))
            .ok()
    }

    /// Loads what the child made, and keeps it. Blocks on the disk.
    pub fn keep(
        &self,
        engine: &Engine,
        digest: &[u8],
        artifact: &[u8],
    ) -> wasmtime::Result<Component> {
        let component = deserialize(engine, artifact)?;
        // A cache that cannot be written costs time, not the upload.
        if let Err(error) = self.write(digest, artifact) {
            tracing::warn!(%error, "a compiled component could not be cached");
        }
        Ok(component)
    }

    /// The digests of what is kept. Blocks on the disk.
    pub fn digests(&self) -> Vec<[u8; 32]> {
        let files = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let digests = files.filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let digest = name.strip_suffix(&format!("-{}.cwasm", self.compatibility))?;
            <[u8; 32]>::try_from(hex::decode(digest).ok()?).ok()
        });
        digests.collect()
    }

    /// Forgets what was compiled from a component. Blocks on the disk.
    pub fn remove(&self, digest: &[u8]) {
        match std::fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "a cached artifact could not be removed; it is tried again");
            }
            _ => {}
        }
    }

    /// A plain file of a size that can be ours, and nothing that a name may lead to besides.
    fn read(&self, digest: &[u8]) -> std::io::Result<Vec<u8>> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(self.path(digest))?;
        let found = file.metadata()?;
        if !found.is_file() || found.len() > self.bytes_max {
            return Err(std::io::Error::other("it is no artifact"));
        }
        let mut bytes = Vec::new();
        file.take(self.bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Under a name of its own first: a reader, here or on another host, sees the whole file or none.
    fn write(&self, digest: &[u8], artifact: &[u8]) -> std::io::Result<()> {
        let path = self.path(digest);
        let unique = u64::from_le_bytes(Random::system().bytes());
        let part = path.with_extension(format!("{unique:016x}.part"));
        let create = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600).open(&part)
        };
        let mut file = create().or_else(|_| {
            std::fs::create_dir_all(&self.folder)?;
            create()
        })?;
        let tag = self.tag(digest, artifact).finalize().into_bytes();
        let written = file
            .write_all(&tag)
            .and_then(|()| file.write_all(artifact))
            .and_then(|()| std::fs::rename(&part, &path));
        if written.is_err() {
            // What can be freed of a full disk is.
            let _ = std::fs::remove_file(&part);
        }
        written
    }

    fn path(&self, digest: &[u8]) -> PathBuf {
        self.folder.join(format!(
            "{}-{}.cwasm",
            hex::encode(digest),
            self.compatibility
        ))
    }

    /// Digest and compatibility have one length each, so that no byte can pass for another part's.
    fn tag(&self, digest: &[u8], artifact: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(digest);
        mac.update(self.compatibility.as_bytes());
        mac.update(artifact);
        mac
    }
}

/// Removes what killed hosts left unfinished.
fn sweep(folder: &Path) {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for file in files.filter(|file| file.path().extension().is_some_and(|end| end == "part")) {
        let changed = file.metadata().and_then(|found| found.modified());
        let age = changed.ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > PART_AGE) {
            // Another host may have been faster.
            let _ = std::fs::remove_file(file.path());
        }
    }
}

impl std::fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifacts")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

#[expect(unsafe_code, reason = "loading compiled code; see the safety comment")]
fn deserialize(engine: &Engine, artifact: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes came from our own compile child this moment, with a code that only it could make, or from the
    // cache under a code whose key only hosts hold; wasmtime itself refuses another engine's settings.
    unsafe { Component::deserialize(engine, artifact) }
}
