//! The child's whole life: give up what it does not need, read a component, write what it made of it with a code that
//! proves it whole. Called by the command line before anything else of the program runs. No byte of a component is read
//! before every limit holds, and no other process of ours parses one.

use std::io::{Read as _, Write as _};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::{Engine, InstanceAllocationStrategy};

use super::confine;
use crate::sandbox::component::inspect;
use crate::sandbox::engine;

/// Exit statuses: the component does not compile; the machine gave the child no limits; Rust's own of a panic.
pub(super) const REFUSED: i32 = 65;
pub(super) const NO_MACHINE: i32 = 71;
pub(super) const PANICKED: i32 = 101;

pub(super) const TAG_BYTES: usize = 32;
const NONCE_BYTES: usize = 32;

/// What a child is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    Inspect,
    #[default]
    Compile,
}

/// What the host tells its child besides the component.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// The process whose end is the child's.
    pub(super) parent: u32,
    #[serde(default)]
    pub(super) task: Task,
    pub(super) engine: engine::Config,
}

/// The code over an answer: of this component, from who was told the nonce.
pub(super) struct Code(Hmac<Sha256>);

pub(super) fn code(nonce: &[u8], component: &[u8], made: &[u8]) -> Code {
    let mut mac = Hmac::new_from_slice(nonce).expect("HMAC takes a key of any length");
    mac.update(&Sha256::digest(component));
    mac.update(made);
    Code(mac)
}

impl Code {
    pub(super) fn verify(self, tag: &[u8]) -> Result<(), hmac::digest::MacError> {
        self.0.verify_slice(tag)
    }
}

/// From standard input to standard output. Returns the exit status.
pub fn child(order: &str) -> i32 {
    let (status, message) = match prepare(order) {
        Ok(engine) => match work(engine.as_ref()) {
            Ok(()) => return 0,
            Err(message) => (REFUSED, message),
        },
        Err(message) => (NO_MACHINE, message),
    };
    let _ = std::io::stderr().write_all(message.as_bytes());
    status
}

/// A process that can do nothing but its task; the engine whose settings are the host's, where that is to compile.
fn prepare(order: &str) -> Result<Option<Engine>, String> {
    let order: Order = serde_json::from_str(order).map_err(|e| e.to_string())?;
    confine::leave(order.parent).map_err(|e| e.to_string())?;
    let engine = match order.task {
        Task::Inspect => None,
        Task::Compile => Some(compiler(&order.engine).map_err(|e| format!("{e:#}"))?),
    };
    confine::bind(&order.engine.compile).map_err(|e| e.to_string())?;
    Ok(engine)
}

fn compiler(config: &engine::Config) -> wasmtime::Result<Engine> {
    let mut settings = engine::settings(config);
    // The child makes no instances; how they are allocated does not change what is compiled.
    settings.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    let engine = Engine::new(&settings)?;
    // The compiler's threads are started by the first compilation; after the limits there are no new ones.
    engine.precompile_module(&TWO_FUNCTIONS)?;
    Ok(engine)
}

/// A module with a type, two functions of it, and two empty bodies.
const TWO_FUNCTIONS: [u8; 28] = [
    0, b'a', b's', b'm', 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 3, 2, 0, 0, 10, 7, 2, 2, 0, 0x0b, 2,
    0, 0x0b,
];

fn work(engine: Option<&Engine>) -> Result<(), String> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    let (nonce, component) = bytes
        .split_at_checked(NONCE_BYTES)
        .ok_or("there is no component")?;
    let made = match engine {
        Some(engine) => engine
            .precompile_component(component)
            .map_err(|e| format!("{e:#}"))?,
        None => inspect(component)
            .map(|_| Vec::new())
            .map_err(|refused| refused.to_string())?,
    };
    let tag = code(nonce, component, &made).0.finalize().into_bytes();
    let mut out = std::io::stdout().lock();
    out.write_all(&tag)
        .and_then(|()| out.write_all(&made))
        .and_then(|()| out.flush())
        .map_err(|e| e.to_string())
}
