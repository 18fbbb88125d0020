//! Sending on demand: one delivery again, everything since a time, a test. The event keeps its id, so a receiver that
//! had it knows it. Each is one transaction that holds the endpoint's row and wakes its queue.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Postgres, Transaction};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Delivery, endpoints, store};
use crate::identity::Caller;
use crate::kit::error::CONFLICT;
use crate::kit::{Code, Error, Result};
use crate::ledger::audit::{Action, record};
use crate::ledger::outbox::{EventId, Notice, Topic, announce};
use crate::webhooks::endpoints::{target, unknown};
use crate::webhooks::{EndpointId, Webhooks};

pub const REPLAY_TOO_LARGE: Code = Code::new(
    "replay_too_large",
    422,
    "The replay would send too many events",
);

/// What to send again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Events from then on, at most 30 days ago.
    #[serde(with = "time::serde::rfc3339")]
    pub since: OffsetDateTime,
    /// Events before then; up to now where absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub until: Option<OffsetDateTime>,
    /// Whether events that were delivered are sent again, too.
    #[serde(default)]
    pub delivered: bool,
}

/// What a replay came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// Events that are sent again.
    pub events: u64,
}

impl Webhooks {
    /// Sends a delivery again, at once and from the start of the schedule.
    pub async fn redeliver(
        &self,
        caller: &Caller,
        endpoint: EndpointId,
        event: EventId,
    ) -> Result<Delivery> {
        let now = self.clock.now();
        let of = (caller.org, endpoint);
        let mut tx = self.hold_enabled(caller, endpoint).await?;
        let row = store::again(&mut *tx, of, event, now)
            .await?
            .ok_or_else(|| Error::not_found("delivery"))?;
        store::wake(&mut *tx, of, now).await?;
        let did = caller.did(Action::WebhookRedelivered, target(endpoint));
        let did = did.detail(&json!({ "event": event }));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(row.view())
    }

    /// Sends everything again that the endpoint is told of and that happened since.
    pub async fn replay(
        &self,
        caller: &Caller,
        endpoint: EndpointId,
        replay: &Replay,
    ) -> Result<Replayed> {
        let now = self.clock.now();
        let oldest = now - self.config.kept();
        if replay.since < oldest || replay.since > now {
            return Err(
                Error::unprocessable("The time cannot be replayed from.").field(
                    "/since",
                    format!(
                        "must be within the last {} days, which is how long events are kept",
                        self.config.kept().as_secs() / 86_400
                    ),
                ),
            );
        }
        let of = (caller.org, endpoint);
        let span = (replay.since, replay.until.unwrap_or(now), replay.delivered);
        let mut tx = self.hold_enabled(caller, endpoint).await?;
        let most = self.config.replay_max;
        let events = store::replay(&mut *tx, of, span, (now, most)).await?;
        if events > u64::try_from(most).unwrap_or(u64::MAX) {
            return Err(REPLAY_TOO_LARGE
                .because(format!("More than {most} events happened in that time."))
                .field(
                    "/since",
                    "choose a later time, or an earlier `until`, and replay in parts",
                ));
        }
        store::wake(&mut *tx, of, now).await?;
        let did = caller.did(Action::WebhookReplayed, target(endpoint));
        let did = did.detail(&json!({ "events": events, "delivered": replay.delivered }));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(Replayed { events })
    }

    /// Sends a test event to the endpoint, whatever it subscribes to.
    pub async fn test_endpoint(&self, caller: &Caller, endpoint: EndpointId) -> Result<Delivery> {
        let now = self.clock.now();
        let mut tx = self.hold_enabled(caller, endpoint).await?;
        let data = json!({ "endpoint": endpoint, "message": "This is a test." });
        let topic = Topic::EndpointTest;
        let notice = Notice::new(self.ids.next(), caller.org, topic, now, &data);
        announce(&mut tx, [&notice]).await?;
        let of = (caller.org, endpoint);
        let row = store::only_to(&mut *tx, of, notice.id, now).await?;
        store::wake(&mut *tx, of, now).await?;
        let did = caller.did(Action::WebhookEndpointTested, target(endpoint));
        let did = did.detail(&json!({ "event": notice.id }));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(row.view())
    }

    /// Holds an endpoint that takes deliveries, until the transaction ends.
    async fn hold_enabled(
        &self,
        caller: &Caller,
        endpoint: EndpointId,
    ) -> Result<Transaction<'static, Postgres>> {
        let mut tx = self.db.begin().await?;
        match endpoints::is_enabled(&mut *tx, caller.org, endpoint).await? {
            None => Err(unknown()),
            Some(false) => Err(CONFLICT
                .because("The endpoint is disabled: enable it first (PATCH {\"enabled\": true}).")),
            Some(true) => Ok(tx),
        }
    }
}
