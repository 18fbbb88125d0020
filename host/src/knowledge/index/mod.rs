//! The search indexes of this node, one for each organization: opened when asked for, brought up to date, closed when
//! idle, deleted and rebuilt when broken. Asked by `search.rs`. Never truth: PostgreSQL is.

mod catch_up;
mod open;
mod question;
mod rank;
mod shelf;

use tantivy::TantivyError;

use crate::kit::Error;

pub(super) use open::{OpenIndex, analyzer};
pub(super) use question::Question;
pub(super) use rank::{Ranking, best};
pub(super) use shelf::Indexes;

/// Why an index cannot be searched as it is.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not what was written: delete and rebuild it.
    Broken(TantivyError),
    /// Anything else; the index itself is fine.
    Refused(Error),
}

impl From<TantivyError> for Fault {
    fn from(error: TantivyError) -> Self {
        Self::Broken(error)
    }
}

impl<E: Into<Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}
