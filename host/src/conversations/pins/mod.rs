//! The versions that conversations stay on: who keeps one in use, and who chooses again once channels have moved. Called
//! by agents. Begins and ends of runs wait for a conversation that is pinned anew, so each step is short and its own.

mod store;

use sqlx::PgPool;
use uuid::Uuid;

use crate::kit::{OrgId, Result};

pub use store::{choosing, staying};

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
