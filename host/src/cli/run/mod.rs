//! `bulkhead run`: a run started, followed over as many connections as it takes, shown as it happens.

mod command;
mod follow;
mod screen;

pub(super) use self::command::{Args, run};
pub(super) use self::follow::Follow;
