//! Why rows wait for a person, by the names that the table and answers use.

/// Why a row waits for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The provider will not take it.
    Refused,
    /// It is older than what the provider takes.
    TooOld,
    /// It was sent, nobody knows whether it arrived, and the provider may have forgotten its identifier.
    OutcomeUnknown,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TooOld => "too_old",
            Self::OutcomeUnknown => "outcome_unknown",
        }
    }
}
