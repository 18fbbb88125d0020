//! What locks, waiting and giving way are made of in `slots.rs` and `turns.rs`; nothing else of the kind is named there. The tests
//! put loom's in their place.

pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::thread::yield_now;

pub(super) use tokio::sync::oneshot;
