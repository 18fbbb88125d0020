//! API keys: `bh_`, the key's id, `_`, 32 random bytes. Made, listed, revoked, and proven on every request.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Caller, Identity, KeyId, Scope, store};
use crate::kit::http::{Cursor, Page, PageQuery};
use crate::kit::{Code, Error, OrgId, Result, Secret};
use crate::ledger::audit::{Action, Entry, Target, record};

pub const UNKNOWN_KEY: Code = Code::new("unknown_key", 401, "The API key is not known");
pub const REVOKED_KEY: Code = Code::new("revoked_key", 401, "The API key was revoked");
pub const EXPIRED_KEY: Code = Code::new("expired_key", 401, "The API key has expired");

const NAME_MAX: usize = 128;

/// A key as it is listed: everything but its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Key {
    #[schema(value_type = String)]
    pub id: KeyId,
    pub name: String,
    pub scopes: Vec<Scope>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<OffsetDateTime>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub revoked_at: Option<OffsetDateTime>,
}

/// A key to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// For people: what the key is used by. 1 to 128 characters.
    pub name: String,
    pub scopes: Vec<Scope>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expires_at: Option<OffsetDateTime>,
}

/// What authentication keeps of a key.
#[derive(Debug)]
pub(super) struct Known {
    caller: Caller,
    expires_at: Option<OffsetDateTime>,
}

impl Identity {
    /// Makes a key. The secret is in the answer and nowhere else.
    pub async fn create_key(&self, caller: &Caller, new: NewKey) -> Result<(Key, Secret)> {
        let mut tx = self.db.begin().await?;
        let (key, secret) = self.insert_key(&mut tx, caller.org, new).await?;
        let did = caller.did(Action::ApiKeyCreated, target(key.id));
        record(&mut tx, &[describe(did, &key)]).await?;
        tx.commit().await?;
        Ok((key, secret))
    }

    pub async fn list_keys(&self, caller: &Caller, query: &PageQuery) -> Result<Page<Key>> {
        let filter = format!("keys {}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let rows = store::list_keys(&self.db, caller.org, start, limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |key| {
            (
                Cursor {
                    at: key.created_at,
                    id: key.id.0,
                },
                key,
            )
        }))
    }

    /// Revokes a key; a repeat changes nothing. The last admin key cannot lock its organization out.
    pub async fn revoke_key(&self, caller: &Caller, id: KeyId) -> Result<Key> {
        let mut tx = self.db.begin().await?;
        // Two admins who revoke each other take turns: the second is the last one.
        store::lock_organization(&mut *tx, caller.org).await?;
        let (key, first) = store::revoke_key(&mut *tx, caller.org, id, self.clock.now())
            .await?
            .ok_or_else(|| Error::not_found("key"))?;
        if store::count_admin_keys(&mut *tx, caller.org, self.clock.now()).await? == 0 {
            return Err(crate::kit::error::CONFLICT.because(
                "This is the organization's last admin key: make another before revoking it.",
            ));
        }
        if first {
            let did = caller.did(Action::ApiKeyRevoked, target(id));
            record(&mut tx, &[did.changed(["revoked_at"])]).await?;
        }
        tx.commit().await?;
        self.callers.invalidate_all();
        Ok(key)
    }

    /// Proves a token. Which part of it was wrong is not told.
    pub async fn authenticate(&self, token: &str) -> Result<Caller> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let known = self
            .callers
            .try_get_with(digest, self.look_up(token))
            .await
            .map_err(|error| error.code.because(error.detail.clone()).caused_by(error))?;
        let now = self.clock.now();
        if known.expires_at.is_some_and(|at| at <= now) {
            return Err(EXPIRED_KEY.because("Make a new key; this one has expired."));
        }
        Ok(known.caller.asking(now))
    }

    async fn look_up(&self, token: &str) -> Result<Arc<Known>> {
        let unknown = || UNKNOWN_KEY.because("Check the key: it must be sent whole, `bh_…`.");
        let (id, secret) = parse(token).ok_or_else(unknown)?;
        let row = store::find_key(&self.db, id).await?.ok_or_else(unknown)?;
        let digest = Sha256::digest(secret.as_bytes());
        if !bool::from(digest[..].ct_eq(&row.secret_sha256)) {
            return Err(unknown());
        }
        if row.revoked_at.is_some() {
            return Err(REVOKED_KEY.because("Make a new key; this one was revoked."));
        }
        let scopes = row
            .scopes
            .iter()
            .filter_map(|scope| Scope::parse(scope))
            .collect();
        Ok(Arc::new(Known {
            caller: Caller::new(row.org_id, row.slug.into(), id, scopes),
            expires_at: row.expires_at,
        }))
    }

    pub(super) async fn insert_key(
        &self,
        tx: &mut PgConnection,
        org: OrgId,
        new: NewKey,
    ) -> Result<(Key, Secret)> {
        self.check(&new)?;
        let secret = URL_SAFE_NO_PAD.encode(self.ids.random().bytes::<32>());
        let key = Key {
            id: self.ids.next(),
            name: new.name,
            scopes: new.scopes,
            created_at: self.clock.now(),
            expires_at: new.expires_at,
            revoked_at: None,
        };
        store::insert_key(tx, org, &key, &Sha256::digest(secret.as_bytes())).await?;
        let token = Secret::new(format!("bh_{}_{secret}", key.id.0.simple()));
        Ok((key, token))
    }

    fn check(&self, new: &NewKey) -> Result<()> {
        let length = new.name.chars().count();
        if !(1..=NAME_MAX).contains(&length) || new.name.chars().any(char::is_control) {
            return Err(Error::unprocessable("The key's name is not usable.").field(
                "/name",
                format!("must be 1 to {NAME_MAX} characters, none of them a control character"),
            ));
        }
        if new.scopes.is_empty() {
            return Err(Error::unprocessable("The key could do nothing.")
                .field("/scopes", "name at least one of read, run, deploy, admin"));
        }
        if new.expires_at.is_some_and(|at| at <= self.clock.now()) {
            return Err(Error::unprocessable("The key would have expired already.")
                .field("/expires_at", "must be in the future"));
        }
        Ok(())
    }
}

pub(super) fn target(key: KeyId) -> Target {
    Target::new("api_key", key)
}

/// What the audit log says of a new key.
pub(super) fn describe(entry: Entry, key: &Key) -> Entry {
    entry
        .changed(["name", "scopes", "expires_at"])
        .detail(&json!({ "name": key.name, "scopes": key.scopes }))
}

fn parse(token: &str) -> Option<(KeyId, &str)> {
    let rest = token.strip_prefix("bh_")?;
    let (id, secret) = (rest.get(..32)?, rest.get(32..)?.strip_prefix('_')?);
    Some((KeyId(Uuid::try_parse(id).ok()?), secret))
}
