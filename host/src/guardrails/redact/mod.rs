//! Redaction: personal data and credentials in text become typed placeholders, whole or in a stream, in linear time. One
//! set of recognisers for everything that is stored, sent or said.

mod address;
mod ahead;
mod documents;
mod find;
mod keyed;
mod numbers;
mod secrets;
mod stream;
mod what;
mod whole;

pub use stream::Stream;
pub use what::{Counts, What};
pub use whole::{json, text};

/// What is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    pub secrets: bool,
    pub pii: bool,
}

impl Set {
    pub const SECRETS: Self = Self {
        secrets: true,
        pii: false,
    };
    pub const ALL: Self = Self {
        secrets: true,
        pii: true,
    };

    /// Credentials always, personal data where it is asked for.
    pub fn with_pii(pii: bool) -> Self {
        Self { secrets: true, pii }
    }
}
