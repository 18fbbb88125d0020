//! Lines for the author, kept with the run beside what it wrote to stdout and stderr.
//! Nothing here reaches the client of the run.

use crate::host;

/// How much a line matters.
///
/// ```
/// use bulkhead_sdk::log::Level;
///
/// assert!(Level::Warn > Level::Info);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of use only while the agent is being written.
    Debug,
    /// Something worth knowing happened.
    Info,
    /// Something is off, and the agent went on.
    Warn,
    /// Something failed.
    Error,
}

/// Adds a line to the run's log, which holds 64 KiB; what does not fit is counted and dropped.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, log, mock::MockHost};
///
/// fn chatty(turn: Turn) -> Result<Outcome> {
///     log::line(log::Level::Debug, &format!("asked: {}", turn.text()));
///     log::warn("nothing to say");
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().run(chatty, "hm?");
/// assert_eq!(transcript.log[0], (log::Level::Debug, "asked: hm?".to_owned()));
/// ```
pub fn line(level: Level, text: &str) {
    host::line(level, text);
}

/// Adds a line that is of use only while the agent is being written.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, log, mock::MockHost};
///
/// fn quiet(_: Turn) -> Result<Outcome> {
///     log::debug("two passages");
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().run(quiet, "hm?");
/// assert_eq!(transcript.log, [(log::Level::Debug, "two passages".to_owned())]);
/// ```
pub fn debug(text: &str) {
    line(Level::Debug, text);
}

/// Adds a line that says what happened.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, log, mock::MockHost};
///
/// fn quiet(_: Turn) -> Result<Outcome> {
///     log::info("answered from the cache");
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().run(quiet, "hm?");
/// assert_eq!(transcript.log, [(log::Level::Info, "answered from the cache".to_owned())]);
/// ```
pub fn info(text: &str) {
    line(Level::Info, text);
}

/// Adds a line that says what is off.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, log, mock::MockHost};
///
/// fn quiet(_: Turn) -> Result<Outcome> {
///     log::warn("nothing was found");
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().run(quiet, "hm?");
/// assert_eq!(transcript.log, [(log::Level::Warn, "nothing was found".to_owned())]);
/// ```
pub fn warn(text: &str) {
    line(Level::Warn, text);
}

/// Adds a line that says what failed.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, log, mock::MockHost};
///
/// fn quiet(_: Turn) -> Result<Outcome> {
///     log::error("the model refused");
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().run(quiet, "hm?");
/// assert_eq!(transcript.log, [(log::Level::Error, "the model refused".to_owned())]);
/// ```
pub fn error(text: &str) {
    line(Level::Error, text);
}
