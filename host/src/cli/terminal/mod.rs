//! What is printed and how: answers to stdout, everything else to stderr, nothing that could drive the terminal.
//! Used by every subcommand.

mod failure;
pub(super) mod log;
mod output;
pub(super) mod plain;
pub(super) mod view;

pub(super) use failure::{Failure, usage};
pub(super) use output::{Format, Output};
