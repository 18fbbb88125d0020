//! Several hosts on one database: who lives, what was cancelled elsewhere, and what becomes of a dead host's runs.

mod jobs;
mod store;
