//! Endpoints: where an organization is told of what happens in it. Made, seen, changed, deleted; secrets are shown
//! when they are made and never again.

mod change;
pub(super) mod store;
mod view;

pub use change::{NAMES, TOO_MANY_ENDPOINTS, UNKNOWN_EVENT};
pub(super) use change::{target, unknown};
pub use view::{ChangeEndpoint, Endpoint, NewEndpoint, WithSecret};

/// Every event, those to come included.
pub const EVERY: &str = "*";
