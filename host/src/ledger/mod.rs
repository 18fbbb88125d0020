//! What is written in the transaction of the thing it states, or not at all. Called by every room that changes
//! something; knows none of them.

pub mod audit;
