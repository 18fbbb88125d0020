//! The folder an author works in, as `dev` sees it: which files it has and when they change.

mod snapshot;
mod watch;

pub(super) use self::snapshot::Snapshot;
pub(super) use self::watch::Watch;
