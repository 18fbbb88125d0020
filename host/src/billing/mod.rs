//! What runs used: tokens metered while they are received, and one usage row per run that is never changed.
//! Runs write the row in the transaction that ends them; models meter. Imports no other capability.

pub mod meter;
mod store;

pub use meter::{Generation, Meter, Tokens};
pub use store::{UsageRecord, find, insert_usage};
