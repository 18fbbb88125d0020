//! Bulkhead: a host for AI agents sealed in WebAssembly. One crate; a room for each capability.

pub mod billing;
pub mod identity;
pub mod kit;
pub mod knowledge;
pub mod models;
pub mod postgres;
pub mod sandbox;
