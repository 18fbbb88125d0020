//! Deliveries: events on their way to endpoints, as they are listed; sent again on demand. A delivery is one event to
//! one endpoint, so it is named by the event's id.

mod again;
pub(super) mod store;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

use super::endpoints::store as endpoints;
use super::{EndpointId, Webhooks};
use crate::identity::Caller;
use crate::kit::http::{Cursor, Page};
use crate::kit::{Error, Result};
use crate::ledger::outbox::EventId;

pub use again::{REPLAY_TOO_LARGE, Replay, Replayed};

/// A delivery as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Delivery {
    /// The event: `webhook-id` of every attempt.
    #[schema(value_type = String)]
    pub event: EventId,
    /// What happened.
    pub topic: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `waiting`, `delivered`, `failed` (tried as often as it is) or `dropped` (its endpoint was disabled).
    pub state: String,
    /// All attempts there were.
    pub attempts: i32,
    /// When it is tried next.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub next_attempt_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    /// The last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<LastAttempt>,
}

/// How the last attempt went.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LastAttempt {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The status of the answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Why it was no success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub took_ms: i32,
    /// The start of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// Which deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeliveriesQuery {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 200; 50 where absent.
    pub limit: Option<u32>,
    /// `waiting`, `delivered`, `failed` or `dropped`.
    pub state: Option<String>,
}

const STATES: [&str; 4] = ["waiting", "delivered", "failed", "dropped"];

impl Webhooks {
    /// The delivery log of an endpoint, newest event first.
    pub async fn list_deliveries(
        &self,
        caller: &Caller,
        endpoint: EndpointId,
        query: &DeliveriesQuery,
    ) -> Result<Page<Delivery>> {
        let state = query.state.as_deref();
        if state.is_some_and(|state| !STATES.contains(&state)) {
            return Err(Error::invalid(format!(
                "`state` must be one of {}.",
                STATES.join(", ")
            )));
        }
        self.get_endpoint(caller, endpoint).await?;
        let filter = format!("webhook-deliveries {} {endpoint} {state:?}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let of = (caller.org, endpoint);
        let rows = store::list(&self.db, of, (state, start), limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |row| {
            let cursor = Cursor {
                at: row.at,
                id: row.event.0,
            };
            (cursor, row.view())
        }))
    }

    pub async fn get_delivery(
        &self,
        caller: &Caller,
        endpoint: EndpointId,
        event: EventId,
    ) -> Result<Delivery> {
        let row = store::find(&self.db, (caller.org, endpoint), event).await?;
        row.map(store::Row::view)
            .ok_or_else(|| Error::not_found("delivery"))
    }
}
