//! The dry run: guardrails and a text, and what the guardrails would say of it. Decides with the code that decides in a
//! run; what needs a run to be told is said to be so.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::redact::{self, Counts, Set};
use super::rules::{Rule, RuleView, Rules};
use super::{Guardrails, entry};
use crate::kit::{Error, Result};

/// Guardrails to try.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// As a manifest declares them.
    pub guardrails: Vec<String>,
    /// What a run would be asked, or would say; nothing is tried where it is absent.
    #[serde(default)]
    pub text: String,
}

/// What they say.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Checked {
    pub guardrails: Vec<RuleView>,
    /// One for each guardrail, and one for what is always on.
    pub verdicts: Vec<Verdict>,
    /// The text as it would be stored and shown.
    pub text: String,
}

/// What one guardrail says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Verdict {
    pub rule: String,
    /// allow, refuse, rewrite, or `in_a_run` where only a run can tell.
    pub verdict: &'static str,
    #[schema(value_type = Object)]
    pub detail: Value,
}

impl Guardrails {
    pub fn check(&self, check: &Check) -> Result<Checked> {
        if check.text.len() > CHECKED_MAX {
            let detail = format!("`text` has at most {CHECKED_MAX} bytes.");
            return Err(Error::unprocessable(detail));
        }
        let rules = self.declare(&check.guardrails)?;
        Ok(checked(&rules, &check.text))
    }
}

const CHECKED_MAX: usize = 1 << 20;

/// The verdicts on a text.
pub fn checked(rules: &Rules, text: &str) -> Checked {
    let set = Set::with_pii(rules.redacts_input() || rules.redacts_output());
    let mut counts = Counts::default();
    let clean = redact::text(set, text, &mut counts).into_owned();
    let chars = text.chars().count();
    let found = entry::by_kind(&counts);
    let rewrite = |name: &str| {
        let kind = found.iter().find(|(kind, _)| kind.name() == name);
        match kind {
            Some((_, counts)) => {
                let counts = counts
                    .found()
                    .map(|(what, n)| (what.name().to_owned(), json!(n)));
                ("rewrite", Value::Object(counts.collect()))
            }
            None => ("allow", json!({})),
        }
    };
    let verdict = |rule: &Rule| match rule {
        Rule::InputMaxChars(most) if chars > *most as usize => {
            ("refuse", json!({ "limit": most, "chars": chars }))
        }
        Rule::InputMaxChars(most) => ("allow", json!({ "limit": most, "chars": chars })),
        Rule::Pii { .. } => rewrite("pii.redact"),
        _ => ("in_a_run", json!({})),
    };
    let verdicts = rules.iter().map(|declared| {
        let (verdict, detail) = verdict(&declared.rule);
        Verdict {
            rule: declared.text.clone(),
            verdict,
            detail,
        }
    });
    let (secrets, detail) = rewrite("secrets.redact");
    let always = Verdict {
        rule: "secrets.redact".to_owned(),
        verdict: secrets,
        detail,
    };
    Checked {
        guardrails: rules.views(),
        verdicts: verdicts.chain([always]).collect(),
        text: clean,
    }
}
