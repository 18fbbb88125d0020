//! Guardrails: what an author declares of an agent, understood once and enforced by the host where a guest cannot opt
//! out. Asked by uploads (are they sane), by runs (entry, import boundaries, end) and by people. A firing is a row.

pub mod check;
pub mod component;
pub mod config;
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
use crate::kit::error::Entry;
use crate::kit::http::Cursors;
use crate::kit::{Base, Clock, Code, Ids, Result};

pub use check::{Check, Checked};
pub use component::{Checker, Judge};
pub use config::Config;
pub use entry::Of;
pub use guard::{Guard, Rewrite};
pub use rules::{At, Kind, Rule, RuleView, Rules, parse};
pub use store::insert_violations;
pub use violations::{Occurred, Violation, ViolationView};

id!(ViolationId, "violation_", "A firing of a guardrail.");

pub const GUARDRAILS_REFUSED: Code = Code::new(
    "guardrails_refused",
    400,
    "A guardrail of the version cannot be understood",
);

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

    /// What a version declares, if every string of it can be understood. Where unknown kinds are let pass, each is in the
    /// log, and guards nothing.
    pub fn declare(&self, strings: &[String]) -> Result<Rules> {
        let (rules, refused) = parse(strings);
        let mut error = GUARDRAILS_REFUSED
            .because("Change the guardrails that `entries` names, and deploy again.");
        for refused in refused {
            if refused.unknown && self.config.allow_unknown {
                tracing::warn!(
                    value = refused.value,
                    "a guardrail is unknown and guards nothing"
                );
                continue;
            }
            error = error.field(
                format!("/guardrails/{}", refused.index),
                refused.reason.clone(),
            );
            error.entries.push(Entry {
                index: refused.index,
                value: refused.value,
                reason: refused.reason,
            });
        }
        if error.fields.is_empty() {
            Ok(rules)
        } else {
            Err(error)
        }
    }
}
