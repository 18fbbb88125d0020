//! All tests that cross a room's border, in one binary.

mod baseline;
mod billing;
mod database;
mod docs;
mod guests;
mod knowledge;
mod limits;
mod models;
mod postgres;
mod runs;
mod scheduler;
mod secrets;
mod support;
