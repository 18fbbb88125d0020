//! `bulkhead test`: an agent's native tests, then the component it becomes, asked case by case in a host of its own.
//! The sandbox, the guardrails, the knowledge and the limits are those of every host; only the model may be a script.

mod ask;
mod bed;
mod cases;
mod command;
mod expect;
mod native;
mod report;
mod script;

pub(super) use self::command::{Args, run};
