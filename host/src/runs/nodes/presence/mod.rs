//! This node among the others: its heartbeat, what it says of itself, and whether the others still take it for alive.
//! A node that could not say that it lives for so long takes no runs until it has said so again, and then lets go of
//! those that others took.

mod lease;
mod store;
mod view;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};

use time::OffsetDateTime;
use tokio::time::Instant;

pub use view::NodeView;

/// What this node knows of its own lease.
#[derive(Debug, Default)]
pub struct Presence {
    /// When the last heartbeat that was written was begun, by both clocks.
    beaten: Mutex<Option<(Instant, OffsetDateTime)>>,
    /// Where it serves.
    address: OnceLock<SocketAddr>,
    /// No new runs, and none claimed: this host is about to go.
    pub(super) draining: AtomicBool,
    /// One heartbeat at a time.
    beating: tokio::sync::Mutex<()>,
    /// One claim at a time: what is claimed is in the registry before anybody looks for what was lost.
    pub(super) claiming: tokio::sync::Mutex<()>,
}
