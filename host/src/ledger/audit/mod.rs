//! The audit log's writing half: what was done, refused or delivered becomes a row in the transaction of the thing
//! itself. Called by every room that changes something, and by the layer that sees refusals.
//! Invariant: an organization's rows are 1 to n without a gap, and each carries the digest of all before it.

mod action;
pub mod chain;
mod entry;
mod record;
mod store;

pub use action::Action;
pub use entry::{Actor, Entry, Source, Status, Target};
pub use record::record;
