//! `bulkhead doctor`: what this machine lacks, and whether a database holds what must always hold.

mod command;
mod machine;

pub(super) use self::command::{Args, database_url, run};
