//! The program as people and scripts use it: its words, its exit codes, its `dev` from the first start to the last.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that fails has done its work, and one story is told in one place"
)]

mod author;
mod build;
mod dev;
mod help;
pub(crate) mod init;
mod packs;
mod path;
pub(crate) mod program;
mod refused;
mod replay;
mod test;
pub(crate) mod verbs;
