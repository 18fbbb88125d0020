//! A life of a run on a node: executed, and then ended, or let go of to be resumed later or elsewhere. A run has one
//! life at a time, and each has a term of its own.

pub mod execute;
pub mod finish;
mod guards;
mod kept;
mod leave;
mod resume;
mod store;
mod traced;

use sqlx::PgPool;

use super::RunId;
use super::journal::Past;
use crate::kit::{OrgId, Result};

/// What a run left in its journal, and the fuel it had used at its last step.
pub async fn past(db: &PgPool, org: OrgId, run: RunId) -> Result<(Past, i64)> {
    let (steps, fuel) = store::steps_of(db, org, run).await?;
    let effects = store::effects_of(db, org, run).await?;
    Ok((Past { steps, effects }, fuel))
}
