//! Nodes: the hosts of one database. Leases by heartbeat, and what follows from them.

mod jobs;
mod store;

pub(in crate::runs) use store::Claimed;
