//! Starting a run: check the input, resolve the version, take a place or queue, then one durable write of run and
//! first event. Nothing is written for a request that is refused.

mod admission;
mod begin;
mod conversation;
mod input;

use std::sync::Arc;

use super::RunId;
use super::log::{Live, stream::Stream};

pub(super) use begin::occurred;

pub use admission::{Admission, Admitted, Place, QUEUE_FULL, Queued};
pub use input::{INPUT_REFUSED, Input, Message, NewRun, Role};

/// A run just made, and its events from the first.
#[derive(Debug)]
pub struct Started {
    pub run: RunId,
    pub live: Arc<Live>,
    pub events: Stream,
}
