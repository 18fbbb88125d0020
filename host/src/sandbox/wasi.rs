//! The part of WASI 0.2 a guest's standard library imports, linked one interface at a time: clocks that stand still,
//! seeded randomness, an empty environment, no preopened folder, stdio into a bounded log. No sockets, no HTTP.

mod chance;
mod timers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliCtxView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksCtxView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder};

pub(super) use self::chance::Chance;
use self::chance::HasChance;
use self::timers::HasTimers;
use super::host::{Host, Meter};
use super::limits::Limits;

/// The WASI interfaces that are linked, with the versions wasmtime answers to.
pub const INTERFACES: [&str; 19] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links every interface of `INTERFACES`. Each getter counts the call.
pub fn add_to_linker<T: AsMut<Host> + Send + 'static>(l: &mut Linker<T>) -> wasmtime::Result<()> {
    fn host<T: AsMut<Host>>(data: &mut T) -> &mut Host {
        let host = data.as_mut();
        host.call();
        host
    }
    // What a guest calls to say why it gives up.
    fn words<T: AsMut<Host>>(data: &mut T) -> &mut Host {
        let host = data.as_mut();
        host.call_quietly();
        host
    }
    fn cli<T: AsMut<Host>>(data: &mut T) -> WasiCliCtxView<'_> {
        let Host { wasi, table, .. } = words(data);
        WasiCliCtxView {
            ctx: wasi.cli(),
            table,
        }
    }
    fn clocks<T: AsMut<Host>>(data: &mut T) -> WasiClocksCtxView<'_> {
        let Host { wasi, table, .. } = host(data);
        WasiClocksCtxView {
            ctx: wasi.clocks(),
            table,
        }
    }
    fn files<T: AsMut<Host>>(data: &mut T) -> WasiFilesystemCtxView<'_> {
        let Host { wasi, table, .. } = host(data);
        WasiFilesystemCtxView {
            ctx: wasi.filesystem(),
            table,
        }
    }
    io::error::add_to_linker::<T, HasTable>(l, |t| &mut words(t).table)?;
    io::poll::add_to_linker::<T, HasTimers>(l, |t| timers::View(host(t)))?;
    io::streams::add_to_linker::<T, HasTable>(l, |t| &mut words(t).table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, HasTimers>(l, |t| timers::View(host(t)))?;
    random::random::add_to_linker::<T, HasChance>(l, |t| chance::View(host(t)))?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| host(t).wasi.random())?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(l, files)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(l, files)?;
    cli::environment::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::exit::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, cli)
}

pub(super) fn context(
    limits: &Limits,
    meter: &Arc<Meter>,
    seed: [u8; 32],
    log: &Log,
) -> (WasiCtx, Chance) {
    let mut random = ChaCha20Rng::from_seed(seed);
    let mut insecure_seed = [0; 16];
    random.fill_bytes(&mut insecure_seed);
    let context = WasiCtxBuilder::new()
        .allow_blocking_current_thread(false)
        .insecure_random_seed(u128::from_le_bytes(insecure_seed))
        .wall_clock(Frozen(Arc::clone(meter)))
        .stdout(log.stdout.clone())
        .stderr(log.stderr.clone())
        .build();
    let chance = Chance {
        random,
        bytes_per_call: limits.random_bytes_per_call,
    };
    (context, chance)
}

/// The wall clock: the time of the last recorded answer.
struct Frozen(Arc<Meter>);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.now_ns())
    }
}

/// What a run wrote for its author, each stream bounded.
#[derive(Clone, Debug)]
pub struct Log {
    pub stdout: Stream,
    pub stderr: Stream,
    pub lines: Stream,
}

impl Log {
    pub(super) fn new(most: usize, meter: &Arc<Meter>) -> Self {
        let stream = || {
            let kept = Kept {
                bytes: Vec::new(),
                most,
                dropped: 0,
            };
            Stream {
                kept: Arc::new(Mutex::new(kept)),
                meter: Arc::clone(meter),
            }
        };
        Self {
            stdout: stream(),
            stderr: stream(),
            lines: stream(),
        }
    }
}

/// A stream into the log: keeps the first bytes, counts the rest.
#[derive(Clone, Debug)]
pub struct Stream {
    kept: Arc<Mutex<Kept>>,
    meter: Arc<Meter>,
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    most: usize,
    dropped: u64,
}

/// What a stream kept, as it is stored and shown.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    pub text: String,
    /// Bytes that did not fit.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Stream {
    pub fn write(&self, bytes: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        let room = kept.most.saturating_sub(kept.bytes.len()).min(bytes.len());
        kept.bytes.extend_from_slice(&bytes[..room]);
        kept.dropped += (bytes.len() - room) as u64;
    }

    /// What was written, where anything was. Bytes that are not UTF-8, and NUL, which PostgreSQL cannot hold,
    /// become the replacement character; it is longer than they are, so the bound is held once more.
    pub fn written(&self) -> Option<Written> {
        let kept = self.kept.lock().unwrap_or_else(|e| e.into_inner());
        if kept.bytes.is_empty() && kept.dropped == 0 {
            return None;
        }
        let mut text = String::from_utf8_lossy(&kept.bytes).replace('\0', "\u{fffd}");
        let end = text.floor_char_boundary(kept.most);
        let over = text.drain(end..).as_str().len();
        Some(Written {
            text,
            dropped_bytes: kept.dropped + over as u64,
        })
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.meter.carry(bytes.len());
        Self::write(self, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}
