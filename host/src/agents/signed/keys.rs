//! The public keys of publishers: added, listed, revoked. What a revoked key signed stays signed by it.

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{PublisherId, TOO_MANY_PUBLISHERS, store};
use crate::agents::Agents;
use crate::identity::Caller;
use crate::kit::error::CONFLICT;
use crate::kit::http::{Cursor, Page, PageQuery};
use crate::kit::{Error, Result};
use crate::ledger::audit::{Action, Target, record};

const NAME_MAX: usize = 128;

/// A publisher's key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Publisher {
    #[schema(value_type = String)]
    pub id: PublisherId,
    pub name: String,
    /// ed25519, 64 hexadecimal digits.
    pub public_key: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub revoked_at: Option<OffsetDateTime>,
}

/// A key to add.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPublisher {
    /// For people: whose key it is. 1 to 128 characters.
    pub name: String,
    /// ed25519, 64 hexadecimal digits.
    pub public_key: String,
}

impl Agents {
    /// Adds a key; one that is there already stays as it is. The answer says whether it is new.
    pub async fn add_publisher(
        &self,
        caller: &Caller,
        new: NewPublisher,
    ) -> Result<(Publisher, bool)> {
        let public = check(&new)?;
        let now = self.clock.now();
        let publisher = Publisher {
            id: self.ids.next(),
            name: new.name,
            public_key: hex::encode(public),
            created_at: now,
            revoked_at: None,
        };
        let mut tx = self.db.begin().await?;
        // Two who add the last one take turns.
        store::lock(&mut *tx, caller.org).await?;
        let by = (caller.org, caller.key);
        if !store::insert(&mut *tx, by, (&publisher, &public)).await? {
            let known = store::find_by_key(&mut *tx, caller.org, &public).await?;
            let gone = || CONFLICT.because("The key was revoked in this moment: ask again.");
            return Ok((known.ok_or_else(gone)?, false));
        }
        // A signature is compared with every one of them.
        let most = self.config.publisher_keys;
        if store::valid(&mut *tx, caller.org).await?.len() > most {
            return Err(TOO_MANY_PUBLISHERS.because(format!(
                "The organization has {most} valid keys: revoke one that nobody signs with any more (`bulkhead publishers ls`, `bulkhead publishers revoke`), or ask the operator for a larger `agents.publisher_keys`."
            )));
        }
        let target = Target::new("publisher_key", publisher.id);
        let did = caller.did(Action::PublisherKeyAdded, target).at(now);
        let detail = json!({ "name": publisher.name, "public_key": publisher.public_key });
        let did = did.changed(["name", "public_key"]).detail(&detail);
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok((publisher, true))
    }

    pub async fn list_publishers(
        &self,
        caller: &Caller,
        query: &PageQuery,
    ) -> Result<Page<Publisher>> {
        let filter = format!("publishers {}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let rows = store::list(&self.db, caller.org, start, limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |publisher| {
            let (at, id) = (publisher.created_at, publisher.id.0);
            (Cursor { at, id }, publisher)
        }))
    }

    /// Revokes a key; a repeat changes nothing. The last one stays while signatures are required.
    pub async fn revoke_publisher(&self, caller: &Caller, id: PublisherId) -> Result<Publisher> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // Two who revoke at one time take turns, also with who begins to require.
        store::lock(&mut *tx, caller.org).await?;
        let (publisher, first) = store::revoke(&mut *tx, caller.org, id, now)
            .await?
            .ok_or_else(|| Error::not_found("publisher key"))?;
        if store::policy(&mut *tx, caller.org).await?
            && store::valid(&mut *tx, caller.org).await?.is_empty()
        {
            return Err(CONFLICT.because(
                "Signatures are required, and nobody could upload without this key: add another first, or require none.",
            ));
        }
        if first {
            let target = Target::new("publisher_key", id);
            let did = caller.did(Action::PublisherKeyRevoked, target).at(now);
            record(&mut tx, &[did.changed(["revoked_at"])]).await?;
        }
        tx.commit().await?;
        Ok(publisher)
    }
}

fn check(new: &NewPublisher) -> Result<[u8; 32]> {
    let mut faults = Error::unprocessable("The publisher's key cannot be added.");
    let length = new.name.chars().count();
    if !(1..=NAME_MAX).contains(&length) || new.name.chars().any(char::is_control) {
        let what = "must be 1 to 128 characters, none of them a control character";
        faults = faults.field("/name", what);
    }
    let mut public = [0; 32];
    let read = hex::decode_to_slice(&new.public_key, &mut public).is_ok();
    let key = VerifyingKey::from_bytes(&public).ok().filter(|_| read);
    if key.is_none_or(|key| key.is_weak()) {
        let what = "must be an ed25519 public key, 64 hexadecimal digits";
        faults = faults.field("/public_key", what);
    }
    match faults.fields.is_empty() {
        true => Ok(public),
        false => Err(faults),
    }
}
