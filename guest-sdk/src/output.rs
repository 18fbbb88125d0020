//! What the client of the run sees, in the order it was said: each call becomes an event that is stored before it
//! is sent. Authors and the agent loop speak here and nowhere else.

use crate::error::Result;
use crate::host;

/// A source of what was said.
///
/// ```
/// use bulkhead_sdk::output::Citation;
///
/// let citation = Citation::new("hit-7", 1).quote("Stop means stop.");
/// assert_eq!(citation.number, 1);
/// assert_eq!(citation.quote.as_deref(), Some("Stop means stop."));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// The handle of a [hit](crate::knowledge::Hit) of this run.
    pub handle: String,
    /// The number the text cites it by, as in `[1]`.
    pub number: u32,
    /// The words of the passage that are meant; `None` is the whole passage. They must stand in it.
    pub quote: Option<String>,
}

impl Citation {
    /// Cites a whole passage.
    #[must_use]
    pub fn new(handle: impl Into<String>, number: u32) -> Self {
        Self {
            handle: handle.into(),
            number,
            quote: None,
        }
    }

    /// Cites these words of the passage.
    #[must_use]
    pub fn quote(mut self, words: impl Into<String>) -> Self {
        self.quote = Some(words.into());
        self
    }
}

/// Says more of the answer. Empty text is nothing.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, output};
///
/// fn hello(_: Turn) -> Result<Outcome> {
///     output::text("Hello, ");
///     output::text("world!");
///     Ok(Outcome::EndTurn)
/// }
///
/// assert_eq!(MockHost::new().run(hello, "hi").text(), "Hello, world!");
/// ```
pub fn text(delta: &str) {
    if !delta.is_empty() {
        host::text(delta);
    }
}

/// Cites a passage. The host checks it against the hits of this run.
///
/// # Errors
/// [`UnknownHandle`](crate::Error::UnknownHandle) and [`NotInPassage`](crate::Error::NotInPassage).
///
/// ```
/// use bulkhead_sdk::{Error, Outcome, Result, Turn, mock::MockHost, output};
///
/// fn forger(_: Turn) -> Result<Outcome> {
///     output::cite(&output::Citation::new("made-up", 1))?;
///     Ok(Outcome::EndTurn)
/// }
///
/// assert_eq!(MockHost::new().run(forger, "says who?").outcome, Err(Error::UnknownHandle));
/// ```
pub fn cite(citation: &Citation) -> Result<()> {
    host::cite(citation)
}

/// Says what the agent is doing, for a person who waits; at most 256 bytes, cut beyond.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, mock::MockHost, output};
///
/// fn slow(_: Turn) -> Result<Outcome> {
///     output::status("Reading the handbook");
///     Ok(Outcome::EndTurn)
/// }
///
/// assert_eq!(MockHost::new().run(slow, "well?").statuses(), ["Reading the handbook"]);
/// ```
pub fn status(text: &str) {
    host::status(text);
}
