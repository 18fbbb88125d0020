//! All tests that cross a room's border, in one binary.

mod baseline;
mod billing;
mod cancel;
mod cli;
mod database;
mod docs;
mod events;
mod guests;
mod hostile;
mod http;
mod idempotency;
mod identity;
mod isolation;
mod knowledge;
mod limits;
mod models;
mod operations;
mod postgres;
mod recovery;
mod runs;
mod scheduler;
mod secrets;
mod snapshots;
mod support;
mod tidy;
mod uploads;
