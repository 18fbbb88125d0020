//! Why an archive is not unpacked, each as one line that names the entry.

use std::io;

/// What is wrong with an archive, or with the place it is to go to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    #[error("the archive is damaged or no gzipped tar: {0}")]
    Damaged(io::Error),
    #[error("the archive holds no file")]
    Empty,
    #[error("the archive holds more than {0} entries")]
    TooMany(usize),
    #[error("the archive comes to more than {0} bytes")]
    TooLarge(u64),
    #[error("`{path}` in the archive is larger than {bytes} bytes")]
    FileTooLarge { path: String, bytes: u64 },
    /// Absolute, with `..`, not UTF-8, with control characters, too long or too deep.
    #[error("`{0}` in the archive is no path that may be written: {1}")]
    Path(String, &'static str),
    #[error("`{0}` is in the archive twice")]
    Twice(String),
    #[error("`{path}` in the archive is {kind}: only {taken} are taken")]
    Kind {
        path: String,
        kind: &'static str,
        taken: &'static str,
    },
    #[error("the link `{at}` in the archive leads to `{to}`: {why}")]
    Link {
        at: String,
        to: String,
        why: &'static str,
    },
    /// The disk, not the archive.
    #[error("cannot {doing} `{path}`: {source}")]
    Io {
        doing: &'static str,
        path: String,
        source: io::Error,
    },
}

impl Refused {
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<String>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
