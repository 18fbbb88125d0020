//! Several hosts on one database: who lives, what was cancelled elsewhere, what becomes of a dead host's runs, and
//! what hosts tell each other so that none of it has to wait for a poll.

pub mod announce;
mod jobs;
pub mod presence;
mod store;

pub(in crate::runs) use store::Claimed;
