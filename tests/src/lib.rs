//! The harness: what every test of Bulkhead starts from. Nothing of ours is mocked here.

pub mod database;
pub mod folder;
pub mod keeper;
