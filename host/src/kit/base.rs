//! What every room is made from: the database, time, ids, cursors, tasks and traces of this host. Made once, by the
//! assembly.

use sqlx::PgPool;

use super::http::Cursors;
use super::{Clock, Ids, Random, Result, Tasks, Tracing, db};

/// Cheap to clone; a room keeps what it needs of it.
#[derive(Clone, Debug)]
pub struct Base {
    pub db: PgPool,
    pub clock: Clock,
    pub ids: Ids,
    pub cursors: Cursors,
    pub tasks: Tasks,
    /// Nothing, until the assembly has started them.
    pub tracing: Tracing,
}

impl Base {
    /// Tasks run on the runtime this is called from. The database must be migrated.
    pub async fn new(db: PgPool, clock: Clock, random: Random) -> Result<Self> {
        let cursors = Cursors::new(&db::shared_key(&db, "cursors", &random).await?);
        let ids = Ids::new(clock.clone(), random);
        Ok(Self {
            db,
            clock,
            ids,
            cursors,
            tasks: Tasks::current(),
            tracing: Tracing::default(),
        })
    }
}
