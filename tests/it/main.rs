//! All tests that cross a room's border, in one binary.

mod database;
mod guests;
mod postgres;
mod runs;
