//! What came of attempts, written many together: the delivery moves on, its endpoint is known to work or to fail, and
//! one that answered 410 or took nothing for days is disabled and its organization told. An outcome that is written
//! twice changes nothing the second time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::store;
use crate::kit::commit::{Apply, Weigh};
use crate::kit::egress::Refused;
use crate::kit::{Ids, OrgId, Result};
use crate::ledger::audit::{Action, Actor, Entry, Source, Status, record};
use crate::ledger::outbox::{EventId, Notice, Topic, announce};
use crate::webhooks::EndpointId;
use crate::webhooks::endpoints::target;

/// Who acts where nobody asked.
const HOST: &str = "webhooks";

/// What an attempt came to.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    /// Why it was no success.
    pub(super) error: Option<String>,
    pub(super) reply: Option<String>,
    /// How long the receiver asks to be left alone.
    pub(super) asked: Option<Duration>,
    /// Its address is not one the host connects to.
    pub(super) was_refused: bool,
}

impl Outcome {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self {
            status: None,
            error: Some(why.into()),
            reply: None,
            asked: None,
            was_refused: false,
        }
    }

    pub(super) fn refused(refused: &Refused) -> Self {
        Self {
            was_refused: true,
            ..Self::failed(format!("refused: its address {refused}"))
        }
    }

    pub(super) fn is_success(&self) -> bool {
        self.error.is_none()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.status == Some(410)
    }

    pub(super) fn label(&self) -> &'static str {
        match self {
            Self { error: None, .. } => "delivered",
            Self {
                was_refused: true, ..
            } => "refused",
            Self {
                status: Some(410), ..
            } => "gone",
            Self {
                status: Some(_), ..
            } => "answered",
            Self { status: None, .. } => "unanswered",
        }
    }
}

/// One attempt that was made.
#[derive(Clone, Debug)]
pub(in crate::webhooks) struct Attempt {
    pub(super) org: OrgId,
    pub(super) endpoint: EndpointId,
    pub(super) event: EventId,
    pub(super) topic: String,
    /// Of this delivery's attempts.
    pub(super) number: i32,
    pub(super) at: OffsetDateTime,
    pub(super) took_ms: i32,
    /// When it is tried again; none where it is not.
    pub(super) next_at: Option<OffsetDateTime>,
    pub(super) outcome: Outcome,
}

impl Attempt {
    /// The delivery's state after it.
    pub(super) fn state(&self) -> &'static str {
        match self.next_at {
            Some(_) => "waiting",
            None if self.outcome.is_success() => "delivered",
            None => "failed",
        }
    }

    /// Its row in the audit log.
    fn entry(&self) -> Entry {
        let detail = json!({
            "event": self.event,
            "topic": self.topic,
            "attempt": self.number,
            "status": self.outcome.status,
            "error": self.outcome.error,
            "took_ms": self.took_ms,
        });
        let status = match self.outcome.is_success() {
            true => Status::Delivered,
            false => Status::Failed,
        };
        let (by, to) = (Actor::host(HOST), target(self.endpoint));
        Entry::new(self.org, self.at, by, Action::WebhookDelivery, to)
            .of(Source::Deliveries)
            .came_to(status, Some(self.outcome.label()))
            .detail(&detail)
    }
}

impl Weigh for Attempt {
    fn bytes(&self) -> usize {
        self.outcome.reply.as_ref().map_or(0, String::len) + 512
    }
}

/// How attempts are recorded.
#[derive(Debug)]
pub(in crate::webhooks) struct Recorded {
    ids: Ids,
    disable_after: Duration,
}

impl Recorded {
    pub(in crate::webhooks) fn new(ids: Ids, disable_after: Duration) -> Self {
        Self { ids, disable_after }
    }
}

impl Apply for Recorded {
    type Change = Attempt;

    async fn apply<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        batch: &'a [Attempt],
    ) -> Result<Vec<Result<()>>> {
        // The endpoint first, then its deliveries: everybody who changes both holds them in this order.
        let mut endpoints: Vec<_> = batch.iter().map(|a| (a.org, a.endpoint)).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        store::hold(tx, &endpoints).await?;
        let written = store::record(tx, batch).await?;
        let fresh: Vec<&Attempt> = batch
            .iter()
            .filter(|a| written.contains(&(a.endpoint, a.event)))
            .collect();
        let mut last: BTreeMap<_, &Attempt> = BTreeMap::new();
        for attempt in &fresh {
            // Of several, a success says the most, then the latest.
            let before = last
                .entry((attempt.org, attempt.endpoint))
                .or_insert(attempt);
            let rank = |a: &Attempt| (a.outcome.is_success(), a.outcome.is_gone(), a.at);
            if rank(attempt) >= rank(before) {
                *before = attempt;
            }
        }
        let last: Vec<&Attempt> = last.into_values().collect();
        store::judge(tx, &last).await?;
        let given_up = store::disable(tx, &last, self.disable_after).await?;
        tell(tx, &self.ids, &given_up).await?;
        let entries: Vec<Entry> = fresh.iter().map(|attempt| attempt.entry()).collect();
        let given_up = given_up.iter().map(GivenUp::entry);
        record(tx, &entries.into_iter().chain(given_up).collect::<Vec<_>>()).await?;
        Ok(batch.iter().map(|_| Ok(())).collect())
    }

    fn tenant(&self, attempt: &Attempt) -> u128 {
        attempt.org.0.as_u128()
    }

    fn settled(&self, attempt: &Attempt, outcome: &Result<()>) {
        if let Err(error) = outcome {
            // The delivery stays as it was: it is sent again when its endpoint is given back.
            tracing::warn!(endpoint = %attempt.endpoint, event = %attempt.event, %error, cause = error.chain(), "an attempt was not recorded");
        }
    }
}

/// An endpoint that was disabled.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) org: OrgId,
    pub(super) endpoint: EndpointId,
    pub(super) reason: &'static str,
    pub(super) at: OffsetDateTime,
}

impl GivenUp {
    /// Its row in the audit log.
    pub(super) fn entry(&self) -> Entry {
        let (by, to) = (Actor::host(HOST), target(self.endpoint));
        Entry::new(self.org, self.at, by, Action::WebhookEndpointDisabled, to)
            .detail(&json!({ "reason": self.reason }))
    }
}

/// Tells organizations that endpoints of theirs were disabled, in the transaction that disables them.
pub(super) async fn tell(tx: &mut PgConnection, ids: &Ids, given_up: &[GivenUp]) -> Result<()> {
    let notices: Vec<Notice> = given_up
        .iter()
        .map(|gone| {
            tracing::warn!(org = %gone.org, endpoint = %gone.endpoint, reason = gone.reason, "a webhook endpoint was disabled");
            metrics::counter!("bulkhead_webhook_endpoints_disabled_total", "reason" => gone.reason)
                .increment(1);
            let data = json!({ "endpoint": gone.endpoint, "reason": gone.reason });
            Notice::new(ids.next(), gone.org, Topic::EndpointDisabled, gone.at, &data)
        })
        .collect();
    announce(tx, &notices).await
}
