//! What is there from one run to the next: the conversation's memory, and the settings of the version.
//! Authors see both as modules of the crate.

pub mod memory;
pub mod settings;
