//! The one error of the SDK, told apart by what an author can do about it.
//! Every capability module answers it; the host shows its text with the failed run.

use std::fmt;
use std::time::Duration;

/// What the SDK's functions answer.
///
/// ```
/// fn half(n: u32) -> bulkhead_sdk::Result<u32> {
///     if n % 2 == 0 { Ok(n / 2) } else { Err("it is odd")? }
/// }
///
/// assert_eq!(half(4), Ok(2));
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call, or the agent itself, failed.
///
/// Texts and boxed errors become an [`Error::Agent`] by `?`, so an author's own failures need no type:
///
/// ```
/// use bulkhead_sdk::{Error, Result};
///
/// fn seats(text: &str) -> Result<u32> {
///     match text.parse::<u32>() {
///         Ok(seats) if seats > 0 => Ok(seats),
///         _ => Err(format!("`{text}` is no number of seats"))?,
///     }
/// }
///
/// assert_eq!(seats("4"), Ok(4));
/// assert_eq!(seats("many"), Err(Error::Agent("`many` is no number of seats".to_owned())));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// What was asked cannot be asked: what to change.
    Invalid(String),
    /// No model connection answers to the alias.
    UnknownModel(String),
    /// The model's provider asks to wait: how long, where it said.
    RateLimited(Option<Duration>),
    /// The model's provider refused or failed: what it said.
    Provider(String),
    /// The model's answer broke off or could not be read.
    Broken(String),
    /// The model refused to answer and said nothing.
    Refused,
    /// Knowledge cannot be searched, or the memory not be read, now.
    Unavailable(String),
    /// The memory has no room for it: what it may hold.
    Full(String),
    /// No hit of this run has the cited handle.
    UnknownHandle,
    /// The quote does not stand in the cited passage.
    NotInPassage,
    /// The agent's own error.
    Agent(String),
}

impl Error {
    /// Whether the model connection is at fault, which the run then records.
    ///
    /// ```
    /// use bulkhead_sdk::Error;
    ///
    /// assert!(Error::Broken("the stream ended early".to_owned()).is_from_model());
    /// assert!(!Error::UnknownHandle.is_from_model());
    /// ```
    #[must_use]
    pub fn is_from_model(&self) -> bool {
        matches!(
            self,
            Self::UnknownModel(_)
                | Self::RateLimited(_)
                | Self::Provider(_)
                | Self::Broken(_)
                | Self::Refused
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) => write!(f, "invalid request: {text}"),
            Self::UnknownModel(alias) => write!(f, "no model answers to the alias `{alias}`"),
            Self::RateLimited(Some(wait)) => {
                write!(f, "the model asks to wait {} ms", wait.as_millis())
            }
            Self::RateLimited(None) => f.write_str("the model asks to wait"),
            Self::Provider(text) => write!(f, "the model's provider failed: {text}"),
            Self::Broken(text) => write!(f, "the model's answer broke off: {text}"),
            Self::Refused => f.write_str("the model refused to answer"),
            Self::Unavailable(text) => write!(f, "not available now: {text}"),
            Self::Full(text) => write!(f, "the memory is full: {text}"),
            Self::UnknownHandle => f.write_str("no hit of this run has the cited handle"),
            Self::NotInPassage => f.write_str("the quote does not stand in the cited passage"),
            Self::Agent(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Self::Agent(text)
    }
}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self::Agent(text.to_owned())
    }
}

impl From<Box<dyn std::error::Error>> for Error {
    fn from(error: Box<dyn std::error::Error>) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => *own,
            Err(foreign) => Self::Agent(foreign.to_string()),
        }
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for Error {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::from(error as Box<dyn std::error::Error>)
    }
}
