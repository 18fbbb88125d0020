//! `bulkhead dev`: everything on this machine in one command, stopped in order. What `serve` and `test`
//! share with it is handed out here.

pub(super) mod agent;
mod command;
pub(super) mod database;
mod folder;
mod greeting;
pub(super) mod programs;
mod project;
mod rounds;
pub(super) mod running;
mod turns;

pub(super) use self::command::{Args, program, reachable, run, start};
pub(super) use self::database::hold;
