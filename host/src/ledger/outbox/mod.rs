//! The outbox: events an organization is told of, written with what they state. Rooms call `announce`; the dispatcher
//! of `webhooks` reads the table. Kept from an organization's first endpoint on: without one, nothing is written.

mod notice;
mod store;
mod topic;

pub use notice::{EventId, Notice};
pub use store::announce;
pub use topic::Topic;
