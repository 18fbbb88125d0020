//! Bulkhead: a host for AI agents sealed in WebAssembly. One crate; a room for each capability. Read
//! `ARCHITECTURE.md` for the walk of a run, then `app.rs` and `server.rs`, which list every room.

pub mod app;
pub mod cli;
pub mod config;
pub mod host;
pub mod invariants;
pub mod server;
pub mod worker;

pub mod agents;
pub mod audit;
pub mod billing;
pub mod conversations;
pub mod guardrails;
pub mod identity;
pub mod knowledge;
pub mod ledger;
pub mod limits;
pub mod models;
pub mod runs;
pub mod webhooks;

pub mod kit;
pub mod postgres;
pub mod sandbox;

/// What the program allocates with: one that gives back what floods took. The C library's keeps it.
pub use mimalloc::MiMalloc as Allocator;
