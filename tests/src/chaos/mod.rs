//! Rounds in which something goes wrong: hosts, database, provider or clients, by a seed that repeats it. A round sets
//! a stage, lets runs begin, lets the fault happen, and then checks everything that must hold all the same.
//! Called by the program `chaos` and by the tests; every round has its own database and its own hosts.

mod bills;
pub mod chance;
pub mod cluster;
pub mod faults;
pub mod node;
pub mod plan;
pub mod readers;
pub mod round;
pub mod script;
pub mod stage;
pub mod table;
mod truth;

pub use faults::Fault;
pub use plan::Plan;
pub use round::{Outcome, play};
