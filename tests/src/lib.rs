//! The harness: what every test of Bulkhead starts from. Nothing of ours is mocked here.

pub mod chaos;
pub mod client;
pub mod collector;
pub mod database;
pub mod folder;
pub mod guests;
pub mod host;
pub mod intent;
pub mod keeper;
pub mod logs;
pub mod provider;
pub mod raw;
pub mod receiver;
pub mod stripe;
pub mod tarball;

pub use client::Client;
pub use host::TestHost;
