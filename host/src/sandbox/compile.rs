//! Compiling in a child process that can be killed: compile bombs are ours to survive. The child has limits on CPU,
//! memory and time, an empty environment and no network where the system lets it give that up. What it made is
//! cached under the component's digest and the engine's compatibility, with a keyed MAC; a mismatch means again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use nix::sys::resource::{Resource, setrlimit};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engine::{self, Sandbox};

const MAC_BYTES: usize = 32;
/// The child's subcommand; not for people.
pub const CHILD: &str = "compile-component";

/// Limits of compiling one component.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub wall_s: u64,
    pub cpu_s: u64,
    pub memory_bytes: u64,
    pub artifact_bytes: u64,
    /// Children at one time.
    pub children: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            wall_s: 30,
            cpu_s: 60,
            memory_bytes: 4 << 30,
            artifact_bytes: 512 << 20,
            children: 1,
        }
    }
}

/// Why there is no compiled component.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("Compiling took longer than {0} s.")]
    TooSlow(u64),
    #[error("Compiling used more CPU or memory than it may.")]
    TooMuch,
    #[error("The compiled component is larger than {0} bytes.")]
    TooLarge(u64),
    #[error("The component does not compile: {0}.")]
    Refused(String),
    #[error("the compile child failed: {0}")]
    Host(#[from] std::io::Error),
}

/// Compiles with `program compile-component`.
pub async fn in_child(program: &Path, sandbox: &Sandbox, bytes: &[u8]) -> Result<Vec<u8>, Failed> {
    let config = &sandbox.config.compile;
    let settings = serde_json::to_string(&*sandbox.config).map_err(std::io::Error::other)?;
    let mut child = Command::new(program)
        .arg(CHILD)
        .arg(settings)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (mut stdin, stdout, stderr) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let talk = async {
        let mut artifact = Vec::new();
        let mut complaint = Vec::new();
        let send = async {
            if let Some(mut pipe) = stdin.take() {
                // A child that died early closes the pipe; its exit status says why.
                let _ = pipe.write_all(bytes).await;
            }
        };
        let receive = async {
            if let Some(pipe) = stdout {
                pipe.take(config.artifact_bytes.saturating_add(1))
                    .read_to_end(&mut artifact)
                    .await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let listen = async {
            if let Some(pipe) = stderr {
                pipe.take(4 << 10).read_to_end(&mut complaint).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let ((), received, listened) = tokio::join!(send, receive, listen);
        received.and(listened)?;
        let status = child.wait().await?;
        Ok::<_, std::io::Error>((status, artifact, complaint))
    };
    let (status, artifact, complaint) =
        tokio::time::timeout(Duration::from_secs(config.wall_s), talk)
            .await
            .map_err(|_| Failed::TooSlow(config.wall_s))??;
    if artifact.len() as u64 > config.artifact_bytes {
        return Err(Failed::TooLarge(config.artifact_bytes));
    }
    match status.code() {
        Some(0) => Ok(artifact),
        Some(REFUSED) => Err(Failed::Refused(
            String::from_utf8_lossy(&complaint).trim().to_owned(),
        )),
        // A signal: the CPU limit's, or the abort of an allocation that the memory limit refused.
        _ => Err(Failed::TooMuch),
    }
}

const REFUSED: i32 = 65;

/// The child's whole life: bind itself, read a component, write an artifact. Returns the exit status.
pub fn child(settings: &str) -> i32 {
    match compile_bound(settings) {
        Ok(()) => 0,
        Err(message) => {
            use std::io::Write as _;
            let _ = std::io::stderr().write_all(message.as_bytes());
            REFUSED
        }
    }
}

fn compile_bound(settings: &str) -> Result<(), String> {
    use std::io::{Read as _, Write as _};
    let config: engine::Config = serde_json::from_str(settings).map_err(|e| e.to_string())?;
    bind(&config.compile).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    // One slot: the child makes no instances, but its settings must be the host's.
    let small = engine::Config {
        guests: 1,
        ..config
    };
    let engine = Engine::new(&engine::settings(&small)).map_err(|e| e.to_string())?;
    let artifact = engine
        .precompile_component(&bytes)
        .map_err(|e| format!("{e:#}"))?;
    std::io::stdout()
        .write_all(&artifact)
        .map_err(|e| e.to_string())
}

fn bind(config: &Config) -> nix::Result<()> {
    // Not every system lets a process give up its network; where it does, it is gone.
    let _ = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET);
    setrlimit(Resource::RLIMIT_CPU, config.cpu_s, config.cpu_s)?;
    setrlimit(
        Resource::RLIMIT_DATA,
        config.memory_bytes,
        config.memory_bytes,
    )?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)
}

/// Compiled components on disk. Rebuildable: losing one costs a compilation.
#[derive(Clone)]
pub struct Artifacts {
    folder: PathBuf,
    mac: Hmac<Sha256>,
    compatibility: String,
}

impl Artifacts {
    pub fn open(folder: PathBuf, key: &[u8], sandbox: &Sandbox) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let mac = Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        Ok(Self {
            folder,
            mac,
            compatibility: sandbox.compatibility(),
        })
    }

    /// The compiled component, where it is cached, whole and ours. Blocks on the disk.
    pub fn load(&self, engine: &Engine, digest: &[u8]) -> Option<Component> {
        let file = std::fs::read(self.path(digest)).ok()?;
        let (tag, artifact) = file.split_at_checked(MAC_BYTES)?;
        if self.tag(digest, artifact).verify_slice(tag).is_err() {
            tracing::warn!(
                digest = hex::encode(digest),
                "a cached artifact was altered; compiling again"
            );
            return None;
        }
        deserialize(engine, artifact).ok()
    }

    /// Loads what the child made, and keeps it. Blocks on the disk.
    pub fn keep(
        &self,
        engine: &Engine,
        digest: &[u8],
        artifact: &[u8],
    ) -> wasmtime::Result<Component> {
        let component = deserialize(engine, artifact)?;
        let path = self.path(digest);
        let tag = self.tag(digest, artifact).finalize().into_bytes();
        let part = path.with_extension(format!("{:x}.part", std::process::id()));
        // A cache that cannot be written costs time, not the upload.
        let written = std::fs::write(&part, [&tag[..], artifact].concat())
            .and_then(|()| std::fs::rename(&part, &path));
        if let Err(error) = written {
            tracing::warn!(%error, "a compiled component could not be cached");
        }
        Ok(component)
    }

    fn path(&self, digest: &[u8]) -> PathBuf {
        self.folder.join(format!(
            "{}-{}.cwasm",
            hex::encode(digest),
            self.compatibility
        ))
    }

    fn tag(&self, digest: &[u8], artifact: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(digest);
        mac.update(self.compatibility.as_bytes());
        mac.update(artifact);
        mac
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
    // SAFETY: the bytes came from our own compile child this moment, or from the cache under a MAC whose key only
    // hosts hold; wasmtime itself refuses another engine's settings.
    unsafe { Component::deserialize(engine, artifact) }
}
