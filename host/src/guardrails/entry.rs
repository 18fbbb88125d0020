//! The gate of a run: its rate, its input's length, and what of the input is redacted before anything is written.

use std::time::Duration;

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::guard::Rewrite;
use super::redact::{self, Counts, Set, What};
use super::rules::{At, Kind, Per, Rule, Rules};
use super::violations::Violation;
use super::{Guardrails, store};
use crate::kit::{Code, Error, OrgId, Result};

pub const RATE_LIMITED: Code = Code::new("rate_limited", 429, "The agent is started too often");
pub const INPUT_TOO_LONG: Code =
    Code::new("input_too_long", 422, "The input is too long for the agent");

/// Whose run is to start.
#[derive(Clone, Copy, Debug)]
pub struct Of {
    pub org: OrgId,
    pub agent: Uuid,
    pub version: i32,
}

impl Guardrails {
    /// Asks the guardrails of a run's entry; a refusal is written down. `texts` are the messages that people wrote; in
    /// them nothing is left that may not be stored.
    pub async fn enter(
        &self,
        of: Of,
        rules: &Rules,
        texts: Vec<&mut String>,
    ) -> Result<Vec<Rewrite>> {
        self.count_start(of, rules).await?;
        let chars: usize = texts.iter().map(|text| text.chars().count()).sum();
        let most = |rule: &Rule| match rule {
            Rule::InputMaxChars(most) => Some(*most),
            _ => None,
        };
        if let Some((most, rule)) = rules.find(most)
            && chars > usize::try_from(most).unwrap_or(usize::MAX)
        {
            let message = format!("the input has {chars} characters; {most} are allowed");
            let detail = json!({ "limit": most, "chars": chars });
            self.refuse(of, (Kind::InputMaxChars, rule), message.clone(), detail)
                .await?;
            let error =
                INPUT_TOO_LONG.because(format!("The agent's guardrail `{rule}`: {message}."));
            return Err(error.field("/input", format!("at most {most} characters")));
        }
        let mut counts = Counts::default();
        let set = Set::with_pii(rules.redacts_input());
        for text in texts {
            if let std::borrow::Cow::Owned(redacted) = redact::text(set, text, &mut counts) {
                *text = redacted;
            }
        }
        let found = by_kind(&counts).into_iter();
        Ok(found
            .map(|(kind, of)| rewrite(rules, (kind, At::Input), &of))
            .collect())
    }

    /// Counts one more start in every unit that is limited, or none of them.
    async fn count_start(&self, of: Of, rules: &Rules) -> Result<()> {
        let limits: Vec<(u32, Per, &str)> = rules
            .iter()
            .filter_map(|declared| match declared.rule {
                Rule::Rate { most, per } => Some((most, per, declared.text.as_str())),
                _ => None,
            })
            .collect();
        if limits.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        for (most, per, rule) in &limits {
            let window = window(now, *per);
            let counted =
                store::count_start(&mut tx, (of.org, of.agent), (per.name(), window), *most)
                    .await?;
            if counted {
                continue;
            }
            tx.rollback().await?;
            let message = format!("the agent was started {most} times in this {}", per.name());
            let detail = json!({ "limit": most, "per": per.name() });
            self.refuse(of, (Kind::Rate, rule), message, detail).await?;
            let left = window + time::Duration::seconds(per.seconds()) - now;
            let wait = Duration::try_from(left).unwrap_or(Duration::from_secs(1));
            let what =
                format!("The agent's guardrail `{rule}` allows no more runs now; try again later.");
            // Whole seconds, rounded up: a client that waits so long is let in.
            let wait = Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
            return Err(RATE_LIMITED.because(what).retry_after(wait));
        }
        tx.commit().await.map_err(Error::from)
    }

    async fn refuse(
        &self,
        of: Of,
        (kind, rule): (Kind, &str),
        message: String,
        detail: serde_json::Value,
    ) -> Result<()> {
        let violation = Violation {
            org: of.org,
            id: self.ids.next(),
            agent: of.agent,
            version: of.version,
            run: None,
            kind: kind.name(),
            rule: rule.to_owned(),
            at: At::Entry.name(),
            action: "refused",
            message,
            detail,
            created_at: self.clock.now(),
        };
        metrics::counter!("bulkhead_guardrail_refusals_total", "kind" => kind.name()).increment(1);
        let mut db = self.db.acquire().await?;
        super::insert_violations(&mut db, &[&violation]).await
    }
}

/// The start of the running second, minute, hour or day, UTC.
fn window(now: OffsetDateTime, per: Per) -> OffsetDateTime {
    let second = now.unix_timestamp();
    let start = second - second.rem_euclid(per.seconds());
    OffsetDateTime::from_unix_timestamp(start).unwrap_or(now)
}

/// Counts apart by what looks for them.
pub(super) fn by_kind(counts: &Counts) -> Vec<(Kind, Counts)> {
    let (mut secrets, mut pii) = (Counts::default(), Counts::default());
    for (what, count) in counts.found() {
        let of = if what == What::Secret {
            &mut secrets
        } else {
            &mut pii
        };
        (0..count).for_each(|_| of.add(what));
    }
    let all = [(Kind::Secrets, secrets), (Kind::Pii, pii)];
    all.into_iter()
        .filter(|(_, counts)| !counts.is_empty())
        .collect()
}

pub(super) fn rewrite(rules: &Rules, (kind, at): (Kind, At), counts: &Counts) -> Rewrite {
    let found = counts
        .found()
        .map(|(what, count)| (what.name().to_owned(), json!(count)));
    let declared = |rule: &Rule| matches!(rule, Rule::Pii { .. }).then_some(());
    let rule = match kind {
        Kind::Pii => rules.find(declared).map_or(kind.name(), |(_, rule)| rule),
        _ => kind.name(),
    };
    Rewrite {
        kind,
        rule: rule.to_owned(),
        at,
        action: "redacted",
        detail: serde_json::Value::Object(found.collect()),
    }
}
