//! All tests that cross a room's border, in one binary.

mod billing;
mod database;
mod models;
mod postgres;
