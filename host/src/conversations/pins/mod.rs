//! The versions that conversations stay on: who keeps one in use, and who chooses again once channels have moved. Called
//! by agents. Begins and ends of runs wait for a conversation that is pinned anew, so each step is short and its own.

mod store;

use sqlx::PgPool;
use uuid::Uuid;

use crate::kit::{OrgId, Result};

pub use store::{choosing, drawn, staying};

/// How many conversations one step pins.
const STEP_MAX: usize = 500;

/// The stable version, and the canary with its share.
type Pointers = (i32, Option<(i32, f64)>);

/// Pins the conversations, which were `choosing`, anew, and tells how many have another version now. Call it once the move
/// is durable; what a host that dies leaves undone, a repeat of the move does.
pub async fn repin(
    db: &PgPool,
    which: (OrgId, Uuid),
    to: Pointers,
    choosing: &[Uuid],
) -> Result<i64> {
    let mut moved = 0;
    for some in choosing.chunks(STEP_MAX) {
        moved += store::repin(db, which, to, some).await?;
    }
    Ok(moved)
}

/// Moves every open conversation off a version that no channel points at any more, and tells how many. To be repeated where
/// a host dies in it, and for those that other hosts pin to it a moment later.
pub async fn leave(db: &PgPool, which: (OrgId, Uuid), version: i32) -> Result<i64> {
    let limit = i64::try_from(STEP_MAX).unwrap_or(i64::MAX);
    let mut all = 0;
    loop {
        let moved = store::leave(db, which, version, limit).await?;
        all += moved;
        if moved == 0 {
            return Ok(all);
        }
    }
}
