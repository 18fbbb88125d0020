//! What every room is made from: the database, time, ids, cursors and tasks of this host. Made once, by the assembly.

use sqlx::PgPool;

use super::http::Cursors;
use super::{Clock, Ids, Tasks};

/// Cheap to clone; a room keeps what it needs of it.
#[derive(Clone, Debug)]
pub struct Base {
    pub db: PgPool,
    pub clock: Clock,
    pub ids: Ids,
    pub cursors: Cursors,
    pub tasks: Tasks,
}
