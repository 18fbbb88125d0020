//! What an author declares: the kinds of guardrails, the strings they are written as, and the rules they become. The
//! one implementation for `dev`, the host and the dry run.

mod kind;
mod parse;
mod rule;

pub use kind::{At, Kind};
pub use parse::{Refused, parse};
pub use rule::{Declared, Per, Rule, RuleView, Rules};
