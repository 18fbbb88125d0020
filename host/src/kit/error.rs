//! The one error of the host, by what the caller can do about it: a stable code with its status, a sentence
//! for outside, and the inside cause that only the log sees. Capabilities name their codes as constants.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// The result of everything that can be refused.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync>;

/// What few errors say.
#[derive(Clone, Debug, Default)]
pub struct More {
    pub retry_after: Option<Duration>,
    /// Further members of the problem, as RFC 9457 allows.
    pub members: Members,
}

/// What a problem says beyond its own fields.
pub type Members = serde_json::Map<String, serde_json::Value>;

/// What a client may match on. `code` never changes its meaning once released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
}

impl Code {
    pub const fn new(code: &'static str, status: u16, title: &'static str) -> Self {
        Self {
            code,
            status,
            title,
        }
    }

    /// The error with this code; `detail` is a sentence for the caller that says what to change.
    pub fn because(self, detail: impl Into<String>) -> Error {
        Error {
            code: self,
            detail: detail.into(),
            fields: Vec::new(),
            more: None,
            cause: None,
        }
    }
}

pub const INVALID: Code = Code::new("invalid_request", 400, "The request is not valid");
pub const UNPROCESSABLE: Code =
    Code::new("unprocessable", 422, "The request cannot be carried out");
pub const NOT_FOUND: Code = Code::new("not_found", 404, "There is no such thing here");
pub const METHOD: Code = Code::new("method_not_allowed", 405, "The route has no such method");
pub const CONFLICT: Code = Code::new("conflict", 409, "The request conflicts with what is there");
pub const TOO_LARGE: Code = Code::new("too_large", 413, "The body is too large");
pub const MEDIA: Code = Code::new(
    "unsupported_media_type",
    415,
    "The content type is not accepted",
);
pub const UNAVAILABLE: Code = Code::new("unavailable", 503, "The host cannot do this now");
pub const INTERNAL: Code = Code::new("internal", 500, "The host failed");

/// One field of the body and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// A JSON pointer into the body.
    pub pointer: String,
    pub detail: String,
}

/// Why something was not done. `detail` may be shown to the caller; `cause` may not.
#[derive(Debug)]
pub struct Error {
    pub code: Code,
    pub detail: String,
    pub fields: Vec<Field>,
    pub more: Option<Box<More>>,
    cause: Option<Cause>,
}

impl Error {
    pub fn invalid(detail: impl Into<String>) -> Self {
        INVALID.because(detail)
    }

    pub fn unprocessable(detail: impl Into<String>) -> Self {
        UNPROCESSABLE.because(detail)
    }

    /// The one answer for what does not exist and what belongs to somebody else.
    pub fn not_found(what: &str) -> Self {
        NOT_FOUND.because(format!("There is no such {what}."))
    }

    pub fn unavailable(detail: impl Into<String>) -> Self {
        UNAVAILABLE.because(detail)
    }

    /// A bug or a broken machine: the caller learns nothing of it, the log everything.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        INTERNAL
            .because("The host failed; the log has the cause under this request id.")
            .caused_by(cause)
    }

    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub fn field(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.fields.push(Field {
            pointer: pointer.into(),
            detail: detail.into(),
        });
        self
    }

    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.more.get_or_insert_default().retry_after = Some(wait);
        self
    }

    /// A further member of the problem: what a program needs to act on it.
    pub fn member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        let more = self.more.get_or_insert_default();
        more.members.insert(name.to_owned(), value.into());
        self
    }

    pub fn is(&self, code: Code) -> bool {
        self.code.code == code.code
    }

    /// The cause and what caused it, for the log.
    pub fn chain(&self) -> String {
        let mut text = String::new();
        let mut next: Option<&dyn StdError> = self.source();
        while let Some(error) = next {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&error.to_string());
            next = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.code, self.detail)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause
            .as_deref()
            .map(|cause| cause as &(dyn StdError + 'static))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::PoolTimedOut | E::PoolClosed | E::Io(_) | E::WorkerCrashed => UNAVAILABLE
                .because("The database does not answer; try again.")
                .caused_by(error),
            // Class 08, 53 and 57: connection lost, resources exhausted, server shutting down; 25P03: this host was
            // silent for too long in the middle of a transaction.
            E::Database(ref inside)
                if inside.code().is_some_and(|code| {
                    ["08", "53", "57", "25P03"]
                        .iter()
                        .any(|class| code.starts_with(class))
                }) =>
            {
                UNAVAILABLE
                    .because("The database does not answer; try again.")
                    .caused_by(error)
            }
            other => Self::internal(other),
        }
    }
}

/// Turns a violated constraint into the precise error it means, so that nothing is looked up before an insert.
pub trait OnConstraint<T> {
    fn on_constraint(self, name: &str, error: impl FnOnce() -> Error) -> Result<T>;
}

impl<T> OnConstraint<T> for std::result::Result<T, sqlx::Error> {
    fn on_constraint(self, name: &str, error: impl FnOnce() -> Error) -> Result<T> {
        self.map_err(
            |e| match e.as_database_error().and_then(|inside| inside.constraint()) {
                Some(violated) if violated == name => error().caused_by(e),
                _ => e.into(),
            },
        )
    }
}
