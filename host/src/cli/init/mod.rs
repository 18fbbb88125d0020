//! `bulkhead init`: a folder with an agent's project that builds as it stands, offline but for what cargo fetches. The
//! templates are in the program, and so is the SDK they are written with. Must hold: a folder is written whole or not
//! at all, and never over anything.

mod command;
mod project;
mod templates;

pub(super) use self::command::{Args, run};
