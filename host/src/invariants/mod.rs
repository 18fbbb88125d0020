//! What must always hold, checked in the database: run by `doctor --invariants` and by the tests after every round.
//! Reads one snapshot and changes nothing, so it may run beside working hosts.

mod store;

use serde::Serialize;
use sqlx::{Executor as _, PgPool};

use crate::kit::Result;

/// The invariants the database can answer for, by the names of the specification.
pub const CHECKED: &[(&str, &str)] = &[
    (
        "I1",
        "an ended run has exactly one terminal event, an open one has none",
    ),
    (
        "I2",
        "a run's events are numbered from 1 without a gap; the first is `started`, the last the terminal one",
    ),
    (
        "I3",
        "an open run is covered by a node that was alive within the last 30 s, or waits to go on since less than that",
    ),
    (
        "I4",
        "a run had more terms than deaths and no fewer than attempts; an outcome is of the effect that was begun",
    ),
    (
        "I5",
        "an ended run has exactly one usage row, which says what its last event and its generations say; an open one has none; sums are the rows",
    ),
    (
        "I9",
        "every event, step, intent and usage row belongs to a run of its own organization",
    ),
    ("I10", "no API key is in any event, step, output or log"),
    ("I13", "a run names a deployed version and kept limits"),
    (
        "I14",
        "no run was lost to a panic or another failure of the host itself",
    ),
];

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
    tell("I9", store::strays(&mut *tx, TOLD_MAX).await?);
    tell("I10", store::leaked_keys(&mut *tx, TOLD_MAX).await?);
    tell("I13", store::unknown_versions(&mut *tx, TOLD_MAX).await?);
    tell("I14", store::panics(&mut *tx, TOLD_MAX).await?);
    tx.commit().await?;
    Ok(violations)
}
