//! Deliveries: events on their way to endpoints, as they are listed; sent again on demand. A delivery is one event to
//! one endpoint, so it is named by the event's id.

mod again;
pub(super) mod store;
mod view;

use super::endpoints::store as endpoints;
use super::{EndpointId, Webhooks};
use crate::identity::Caller;
use crate::kit::http::{Cursor, Page};
use crate::kit::{Error, Result};
use crate::ledger::outbox::EventId;

pub use again::{REPLAY_TOO_LARGE, Replay, Replayed};
pub use view::{DeliveriesQuery, Delivery, LastAttempt};

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
