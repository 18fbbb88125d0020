//! The program as people and scripts use it: its words, its exit codes, its `dev` from the first start to the last.

mod dev;
mod help;
mod program;
mod refused;
mod verbs;
