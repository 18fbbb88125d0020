//! Subscriptions: what the provider tells of them decides an organization's tier.

mod hear;
mod store;

pub use hear::{UNKNOWN_CUSTOMER, UNKNOWN_PRICE};
