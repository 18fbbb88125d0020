//! The audit log's ground: what was done, refused or delivered becomes a row in the transaction of the thing itself,
//! and rows are read in the order of their chain. Called by every room that changes something, and by `audit`.
//! Invariant: an organization's rows are 1 to n without a gap, and each carries the digest of all before it.

mod action;
pub mod chain;
pub mod checkpoint;
mod entry;
mod read;
mod record;
mod store;

pub use action::Action;
pub use checkpoint::Checkpoint;
pub use entry::{Actor, Entry, Source, Status, Target};
pub use read::{Stored, checkpoints, head, heads, public_keys, rows};
pub use record::record;
