//! Search in the knowledge of the agent's organization. The agent loop searches before it generates; authors may
//! search themselves. A component that never calls this does not import it.

use crate::error::Result;
use crate::host;

/// What a query's text may hold, by the contract.
const TEXT_BYTES: usize = 4096;

/// What to look for.
///
/// ```
/// use bulkhead_sdk::knowledge::Query;
///
/// let query = Query::new("how do i stop a run??").limit(4).tag("handbook");
/// assert_eq!((query.limit, query.tags), (4, vec!["handbook".to_owned()]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// In plain language, at most 4 KiB: no operators, every character may stand for itself.
    pub text: String,
    /// The most hits wanted, 1 to 32.
    pub limit: u32,
    /// Only entries with all of these tags; at most 16.
    pub tags: Vec<String>,
}

impl Query {
    /// Looks for the six best passages. What is longer than a query may be is cut.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
        Self {
            text,
            limit: 6,
            tags: Vec::new(),
        }
    }

    /// Asks for this many hits, 1 to 32.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Asks only for entries with this tag, and with those asked for before.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }
}

/// A passage that matched.
///
/// ```
/// use bulkhead_sdk::knowledge::Hit;
///
/// let hit = Hit {
///     handle: "hit-1".to_owned(),
///     title: "Cancelling".to_owned(),
///     heading: "Stop > By key".to_owned(),
///     text: "Press Ctrl-C.".to_owned(),
///     score: 3.5,
/// };
/// assert_eq!(hit.place(), "Cancelling > Stop > By key");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Opaque, valid in this run only: what [`output::cite`](crate::output::cite) asks for.
    pub handle: String,
    /// The entry's title.
    pub title: String,
    /// The headings the passage stands under, joined by ` > `; may be empty.
    pub heading: String,
    /// The passage, at most 16 KiB.
    pub text: String,
    /// Comparable within one answer only; larger is better.
    pub score: f64,
}

impl Hit {
    /// The title and the headings below it, for a model or a person to read.
    #[must_use]
    pub fn place(&self) -> String {
        if self.heading.is_empty() || self.heading == self.title {
            self.title.clone()
        } else {
            format!("{} > {}", self.title, self.heading)
        }
    }
}

/// The best passages, best first.
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) for a query that cannot be asked, [`Unavailable`](crate::Error::Unavailable)
/// where the index cannot answer now.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, knowledge, mock::MockHost, output};
///
/// fn lookup(turn: Turn) -> Result<Outcome> {
///     for hit in knowledge::search(&knowledge::Query::new(turn.text()))? {
///         output::text(&hit.title);
///     }
///     Ok(Outcome::EndTurn)
/// }
///
/// let host = MockHost::new()
///     .knowledge("Cancelling", "Cancel stops a run.")
///     .knowledge("Baking", "Bread needs yeast.");
/// assert_eq!(host.run(lookup, "how to stop a run").text(), "Cancelling");
/// ```
pub fn search(query: &Query) -> Result<Vec<Hit>> {
    host::search(query)
}
