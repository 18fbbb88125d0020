//! All tests that cross a room's border, in one binary.

mod billing;
mod database;
mod guests;
mod knowledge;
mod models;
mod postgres;
mod runs;
