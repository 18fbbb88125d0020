//! What must always hold, checked in the database: run by `doctor --invariants` and by the tests after every round.
//! Reads one snapshot and changes nothing, so it may run beside working hosts.

mod audit;
mod checked;
mod store;

use serde::Serialize;
use sqlx::{Executor as _, PgPool};

use crate::kit::Result;

pub use checked::CHECKED;

/// Of one invariant no more than this many violations are told.
const TOLD_MAX: i64 = 20;

/// One place where an invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub invariant: &'static str,
    /// Which row, and what is wrong with it.
    pub detail: String,
}

/// Every violation there is; a sound database has none.
pub async fn check(db: &PgPool) -> Result<Vec<Violation>> {
    let mut tx = db.begin().await?;
    tx.execute("set transaction isolation level repeatable read, read only")
        .await?;
    let mut violations = Vec::new();
    let mut tell = |invariant, found: Vec<String>| {
        let found = found.into_iter();
        violations.extend(found.map(|detail| Violation { invariant, detail }));
    };
    tell("I1", store::wrong_ends(&mut *tx, TOLD_MAX).await?);
    tell("I2", store::gaps(&mut *tx, TOLD_MAX).await?);
    tell("I3", store::abandoned(&mut *tx, TOLD_MAX).await?);
    tell("I4", store::wrong_terms(&mut *tx, TOLD_MAX).await?);
    tell("I5", store::wrong_usage(&mut *tx, TOLD_MAX).await?);
    tell("I5", store::wrong_sums(&mut *tx, TOLD_MAX).await?);
    tell("I6", store::wrong_reports(&mut *tx, TOLD_MAX).await?);
    tell("I7", store::untold(&mut *tx, TOLD_MAX).await?);
    tell("I8", audit::broken(&mut tx, TOLD_MAX).await?);
    tell("I9", store::strays(&mut *tx, TOLD_MAX).await?);
    tell("I10", store::leaked_keys(&mut *tx, TOLD_MAX).await?);
    tell("I13", store::unknown_versions(&mut *tx, TOLD_MAX).await?);
    tell("I14", store::panics(&mut *tx, TOLD_MAX).await?);
    tell("I15", store::wrong_blocks(&mut *tx, TOLD_MAX).await?);
    tell("I16", store::wrong_conversations(&mut *tx, TOLD_MAX).await?);
    tell("I17", store::wrong_memories(&mut *tx, TOLD_MAX).await?);
    tx.commit().await?;
    Ok(violations)
}
