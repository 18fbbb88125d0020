//! `bulkhead init`: a folder with an agent's project that builds as it stands. The templates are in the program, and so
//! are the contract and the SDK they are written with; others come from a pack, which is checked before a byte of it is
//! unpacked. Must hold: a folder is written whole or not at all, and never over anything.

mod command;
mod foreign;
mod pack;
mod project;
mod rust;
mod templates;

pub(super) use self::command::{Args, run};
