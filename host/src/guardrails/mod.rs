//! Guardrails: what an author declares of an agent, understood once and enforced by the host where a guest cannot opt
//! out. Asked by uploads (are they sane), by runs (entry, import boundaries, end) and by people. A firing is a row.

pub mod check;
pub mod component;
pub mod config;
mod declare;
pub mod entry;
pub mod guard;
pub mod http;
pub mod redact;
pub mod rules;
mod store;
pub mod topic;
pub mod violations;

use sqlx::PgPool;

use crate::id;
use crate::kit::http::Cursors;
use crate::kit::{Base, Clock, Ids};

pub use check::{Check, Checked};
pub use component::{Checker, Judge, Subject, Verdict};
pub use config::Config;
pub use declare::GUARDRAILS_REFUSED;
pub use entry::Of;
pub use guard::{Guard, Rewrite};
pub use rules::{At, Kind, Rule, RuleView, Rules, parse};
pub use store::insert_violations;
pub use violations::{Occurred, Violation, ViolationView};

id!(ViolationId, "violation_", "A firing of a guardrail.");

/// The room's handle.
#[derive(Clone, Debug)]
pub struct Guardrails {
    db: PgPool,
    clock: Clock,
    ids: Ids,
    cursors: Cursors,
    config: Config,
}

impl Guardrails {
    pub fn new(base: &Base, config: Config) -> Self {
        Self {
            db: base.db.clone(),
            clock: base.clock.clone(),
            ids: base.ids.clone(),
            cursors: base.cursors.clone(),
            config,
        }
    }
}
