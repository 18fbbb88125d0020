//! `bulkhead dev`: everything on this machine in one command, stopped in order. What `serve` shares with it is handed
//! out here.

mod agent;
mod command;
mod database;
mod folder;
mod greeting;
pub(super) mod programs;
mod project;
mod rounds;
pub(super) mod running;
mod turns;

pub(super) use self::command::{Args, program, reachable, run};
pub(super) use self::database::hold;
