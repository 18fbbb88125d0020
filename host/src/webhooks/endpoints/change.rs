//! What can be done with endpoints. Every change is one transaction that holds the endpoint's row, so that it and the
//! dispatcher take turns.

use super::store::{self, Row};
use super::{ChangeEndpoint, EVERY, Endpoint, NewEndpoint, WithSecret};
use crate::identity::Caller;
use crate::kit::http::{Cursor, Page, PageQuery};
use crate::kit::{Code, Error, Result, Secret};
use crate::ledger::audit::{Action, Target, record};
use crate::ledger::outbox::Topic;
use crate::webhooks::sign::new_secret;
use crate::webhooks::{EndpointId, Webhooks};

pub const UNKNOWN_EVENT: Code = Code::new("unknown_event", 400, "There is no such event");
pub const TOO_MANY_ENDPOINTS: Code = Code::new(
    "too_many_endpoints",
    409,
    "The organization has as many webhook endpoints as it may have",
);

const DESCRIPTION_MAX: usize = 512;

/// What an endpoint may subscribe to, in words.
pub static NAMES: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
    let names: Vec<String> = Topic::ALL
        .iter()
        .map(|t| format!("`{}`", t.name()))
        .collect();
    format!("{} or `{EVERY}`", names.join(", "))
});

impl Webhooks {
    /// Makes an endpoint; the secret is in the answer and nowhere else.
    pub async fn create_endpoint(
        &self,
        caller: &Caller,
        id: Option<EndpointId>,
        new: NewEndpoint,
    ) -> Result<WithSecret> {
        check_description(&new.description)?;
        let events = check_events(new.events)?;
        let url = self.check_url(&new.url).await?;
        let id = id.unwrap_or_else(|| self.ids.next());
        let secret = new_secret(self.ids.random());
        let now = self.clock.now();
        let row = Row {
            id,
            url,
            description: new.description,
            events,
            signature: new.signature.as_str().to_owned(),
            secret_sealed: self.seal.seal(id.0.as_bytes(), &secret),
            former_secret_until: None,
            last_success_at: None,
            failing_since: None,
            disabled_at: None,
            disabled_reason: None,
            created_at: now,
            updated_at: now,
        };
        let mut tx = self.db.begin().await?;
        // Requests that make endpoints of one organization take turns: none counts what another has not committed.
        store::lock_all(&mut *tx, caller.org).await?;
        let most = self.config.endpoints_per_org;
        if store::count(&mut *tx, caller.org).await? >= most {
            return Err(TOO_MANY_ENDPOINTS.because(format!(
                "The organization has {most} webhook endpoints: delete one before making another."
            )));
        }
        store::insert(&mut *tx, caller.org, (&row, caller.key)).await?;
        let did = caller.did(Action::WebhookEndpointCreated, target(id));
        let given = ["url", "description", "events", "signature"];
        record(&mut tx, &[did.changed(given)]).await?;
        tx.commit().await?;
        tracing::info!(org = %caller.slug, endpoint = %id, "webhook endpoint made");
        Ok(shown(row, &secret))
    }

    pub async fn get_endpoint(&self, caller: &Caller, id: EndpointId) -> Result<Endpoint> {
        let row = store::find(&self.db, caller.org, id).await?;
        row.map(Row::view).ok_or_else(unknown)
    }

    pub async fn list_endpoints(
        &self,
        caller: &Caller,
        query: &PageQuery,
    ) -> Result<Page<Endpoint>> {
        let filter = format!("webhook-endpoints {}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let rows = store::list(&self.db, caller.org, start, limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |row| {
            let cursor = Cursor {
                at: row.created_at,
                id: row.id.0,
            };
            (cursor, row.view())
        }))
    }

    /// Changes what is given. An endpoint that is enabled again is as one that was never tried.
    pub async fn change_endpoint(
        &self,
        caller: &Caller,
        id: EndpointId,
        change: ChangeEndpoint,
    ) -> Result<Endpoint> {
        let given = change.names();
        let url = match &change.url {
            Some(url) => Some(self.check_url(url).await?),
            None => None,
        };
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        let mut row = store::find_for_update(&mut *tx, caller.org, id)
            .await?
            .ok_or_else(unknown)?;
        let was_enabled = row.disabled_at.is_none();
        let moved = url.as_ref().is_some_and(|url| *url != row.url);
        if let Some(description) = change.description {
            check_description(&description)?;
            row.description = description;
        }
        if let Some(events) = change.events {
            row.events = check_events(events)?;
        }
        if let Some(signature) = change.signature {
            row.signature = signature.as_str().to_owned();
        }
        row.url = url.unwrap_or(row.url);
        row.updated_at = now;
        match change.enabled {
            Some(false) if was_enabled => {
                row.disabled_at = Some(now);
                row.disabled_reason = Some("asked".to_owned());
            }
            Some(true) => (row.disabled_at, row.disabled_reason) = (None, None),
            _ => {}
        }
        let enabled = row.disabled_at.is_none();
        if moved || (enabled && !was_enabled) {
            row.failing_since = None;
        }
        let afresh = moved || (enabled && !was_enabled);
        store::update(&mut *tx, caller.org, (&row, afresh)).await?;
        if was_enabled && !enabled {
            store::drop_waiting(&mut *tx, (caller.org, id), now).await?;
        }
        let action = match (was_enabled, enabled) {
            (true, false) => Action::WebhookEndpointDisabled,
            (false, true) => Action::WebhookEndpointEnabled,
            _ => Action::WebhookEndpointUpdated,
        };
        record(&mut tx, &[caller.did(action, target(id)).changed(given)]).await?;
        tx.commit().await?;
        Ok(row.view())
    }

    /// Deletes an endpoint with its deliveries. A request in flight ends as it would have.
    pub async fn delete_endpoint(&self, caller: &Caller, id: EndpointId) -> Result<()> {
        let mut tx = self.db.begin().await?;
        if !store::delete(&mut *tx, caller.org, id).await? {
            return Err(unknown());
        }
        let did = caller.did(Action::WebhookEndpointDeleted, target(id));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes a new secret; the one before signs too for a day, so that a receiver can be changed without a gap.
    pub async fn rotate_secret(&self, caller: &Caller, id: EndpointId) -> Result<WithSecret> {
        let secret = new_secret(self.ids.random());
        let sealed = self.seal.seal(id.0.as_bytes(), &secret);
        let now = self.clock.now();
        let until = now + self.config.secret_overlap();
        let mut tx = self.db.begin().await?;
        let row = store::rotate(&mut *tx, (caller.org, id), &sealed, (now, until))
            .await?
            .ok_or_else(unknown)?;
        let did = caller.did(Action::WebhookSecretRotated, target(id));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(shown(row, &secret))
    }

    async fn check_url(&self, url: &str) -> Result<String> {
        let checked = self.egress.rules.check_now(url).await;
        checked
            .map(|url| url.to_string())
            .map_err(|refused| refused.at("/url"))
    }
}

fn shown(row: Row, secret: &Secret) -> WithSecret {
    WithSecret {
        endpoint: row.view(),
        signing_secret: secret.expose().to_owned(),
    }
}

/// An endpoint, as the audit log names it.
pub(in crate::webhooks) fn target(id: EndpointId) -> Target {
    Target::new("webhook_endpoint", id)
}

pub(in crate::webhooks) fn unknown() -> Error {
    Error::not_found("webhook endpoint")
}

fn check_description(text: &str) -> Result<()> {
    if text.chars().count() > DESCRIPTION_MAX || text.chars().any(char::is_control) {
        return Err(Error::unprocessable("The endpoint is not usable.").field(
            "/description",
            format!("must have at most {DESCRIPTION_MAX} characters and no control character"),
        ));
    }
    Ok(())
}

fn check_events(events: Vec<String>) -> Result<Vec<String>> {
    if events.is_empty() {
        return Err(Error::unprocessable("The endpoint would be told nothing.")
            .field("/events", format!("name at least one of {}", *NAMES)));
    }
    let mut kept: Vec<String> = Vec::new();
    for (place, name) in events.into_iter().enumerate() {
        if name != EVERY && Topic::named(&name).is_none() {
            let detail = format!("There is no such event. There are {}.", *NAMES);
            return Err(UNKNOWN_EVENT
                .because(detail)
                .field(format!("/events/{place}"), "is not in the catalogue"));
        }
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    Ok(kept)
}
