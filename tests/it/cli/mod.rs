//! The program as people and scripts use it: its words, its exit codes, its `dev` from the first start to the last.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that fails has done its work, and one story is told in one place"
)]

mod author;
mod dev;
mod help;
mod init;
mod path;
pub(crate) mod program;
mod refused;
mod replay;
mod test;
pub(crate) mod verbs;
