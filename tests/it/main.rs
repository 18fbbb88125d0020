//! All tests that cross a room's border, in one binary.

mod baseline;
mod billing;
mod database;
mod docs;
mod guests;
mod knowledge;
mod models;
mod postgres;
mod runs;
mod secrets;
mod support;
