//! Whether what a version declares can be understood: asked at upload and by the dry run.

use serde_json::json;

use super::{Guardrails, Rules, parse};
use crate::kit::{Code, Result};

pub const GUARDRAILS_REFUSED: Code = Code::new(
    "guardrails_refused",
    400,
    "A guardrail of the version cannot be understood",
);

impl Guardrails {
    /// What a version declares, if every string of it can be understood. Where unknown kinds are let pass, each is in the
    /// log, and guards nothing.
    pub fn declare(&self, strings: &[String]) -> Result<Rules> {
        let (rules, refused) = parse(strings);
        let mut error = GUARDRAILS_REFUSED
            .because("Change the guardrails that `entries` names, and deploy again.");
        let mut entries = Vec::new();
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
            entries.push(json!({
                "index": refused.index,
                "value": refused.value,
                "reason": refused.reason,
            }));
        }
        if error.fields.is_empty() {
            Ok(rules)
        } else {
            Err(error.member("entries", entries))
        }
    }
}
