//! What agents keep for a conversation: texts under keys. What a run writes are steps of its journal; they become the
//! conversation's in the transaction of the run's end, so a run that is resumed, fenced off or replayed writes nothing
//! twice. Runs link `guest`, and call `remember` with their ends.

mod config;
pub mod guest;
pub mod http;
mod kept;
mod show;
mod store;

pub use config::Config;
pub use kept::Kept;
pub use show::{Entry, Memory};
pub(super) use store::forget;
pub use store::remember;

/// How writes are called in the journal.
const SET: &str = "memory.set";
const DELETE: &str = "memory.delete";

/// Whether a step of this kind may change a memory.
pub fn writes(kind: &str) -> bool {
    kind == SET || kind == DELETE
}
