//! All tests that cross a room's border, in one binary.

mod baseline;
mod billing;
mod cli;
mod database;
mod docs;
mod events;
mod guests;
mod http;
mod idempotency;
mod identity;
mod knowledge;
mod models;
mod operations;
mod postgres;
mod recovery;
mod runs;
mod secrets;
mod snapshots;
mod support;
mod tidy;
