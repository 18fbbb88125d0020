//! The sandbox: wasmtime and nothing of our domain. Compiles components in a child process, runs each in a store of
//! its own under fuel, memory and handle limits, and takes it out again when told. Called by agents (inspect,
//! describe) and runs (invoke). Once a stop took effect no guest code runs, destructors included.

mod account;
pub mod bindings;
pub mod compile;
pub mod component;
pub mod engine;
pub mod host;
pub mod invoke;
pub mod journal;
pub mod limits;
pub mod own;
pub mod schedule;
pub mod sections;
pub mod wasi;

pub use bindings::{Agent, AgentPre};
pub use engine::{Config, Sandbox};
pub use host::{Host, Meter, Place};
pub use invoke::{Around, Away, Blame, Blocked, Fault};
pub use journal::{Answered, Begun, Intended, Intent, Journal, Left, Repeat, Ticket};
pub use limits::{Limit, Limits};
pub use own::OwnTime;
pub use schedule::{Running, Scheduler};
