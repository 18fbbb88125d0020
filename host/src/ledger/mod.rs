//! What is written in the transaction of the thing it states: the audit chain, and the outbox of events to tell. Called
//! by every room that changes something; imports only the kit. Invariant: nothing here opens a transaction of its own.

pub mod audit;
pub mod outbox;
