//! Dispatch: events become deliveries, endpoints with something due are leased, sent to and given back. Run by a job on
//! every node; rows that another node works on are passed over. A node that dies loses its leases with time, and what it
//! was sending is sent again under the same id.

mod fan_out;
mod outcome;
mod places;
mod queue;
mod send;
mod store;

pub(super) use outcome::{Attempt, Recorded};
pub(super) use places::Places;
pub(super) use store::{forget, lapse};
