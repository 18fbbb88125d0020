//! A run's log: events, steps and the end, in one order, durable before anybody sees them. Written through the node's
//! group commit; read live from memory and from the table, which agree to the byte.

pub mod change;
pub mod event;
pub mod http;
pub mod live;
pub(in crate::runs) mod notices;
pub mod record;
mod shown;
mod standing;
pub mod step;
mod store;
pub mod stream;

pub use change::{Change, Writes};
pub use event::{Event, Stored};
pub use live::{Live, Registry, StopCause, Stopping};
pub use record::{Record, Withdrawn};
pub use standing::{standing, text_of, tool_calls};
pub use step::Step;
pub(super) use store::{all_events, events_after, last_event};
