//! Model connections: put, seen, listed, deleted. A key comes in, is sealed under its row's id and is never shown;
//! it stays with the address it was given for.

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{ConnectionId, Models, store};
use crate::identity::Caller;
use crate::identity::organizations::is_name;
use crate::kit::http::{Cursor, Page, PageQuery};
use crate::kit::{Error, Result, Secret};
use crate::ledger::audit::{Action, Target, record};

const MODEL_BYTES_MAX: usize = 256;
const MODELS_MAX: usize = 100;
const KEY_BYTES_MAX: usize = 8 << 10;
const URL_BYTES_MAX: usize = 2 << 10;

/// What speaks at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An OpenAI-compatible endpoint: streaming Chat Completions below `base_url`.
    Openai,
    /// The model built into the host: it answers by quoting passages.
    Offline,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Offline => "offline",
        }
    }
}

/// A connection as it is shown: everything but its key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Connection {
    #[schema(value_type = String)]
    pub id: ConnectionId,
    /// The alias guests ask for.
    pub name: String,
    pub kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    pub has_api_key: bool,
    pub default_model: String,
    /// Where it is not empty, another model is answered by the default one.
    pub available_models: Vec<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// A connection to make or replace.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutConnection {
    pub kind: Kind,
    /// For `openai`: the address `/chat/completions` is appended to, such as `https://api.openai.com/v1`.
    pub base_url: Option<String>,
    /// Absent keeps the key there is, null removes it, a text replaces it. It is never shown again.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub api_key: Option<Option<Secret>>,
    /// What generates where the agent asks for no model of the connection.
    pub default_model: String,
    /// The models agents may ask for; empty allows any.
    #[serde(default)]
    pub available_models: Vec<String>,
}

impl Models {
    /// Makes or replaces a connection; `true` where it is new.
    pub async fn put_connection(
        &self,
        caller: &Caller,
        name: &str,
        put: PutConnection,
    ) -> Result<(Connection, bool)> {
        let base_url = self.check(name, &put)?;
        let changed = changed(&put);
        let mut tx = self.db.begin().await?;
        let found = store::find_for_update(&mut *tx, caller.org, name).await?;
        let is_new = found.is_none();
        let now = self.clock.now();
        let mut row = store::Row {
            id: found.as_ref().map_or_else(|| self.ids.next(), |row| row.id),
            name: name.to_owned(),
            kind: put.kind.as_str().to_owned(),
            base_url: base_url.as_ref().map(Url::to_string),
            api_key_sealed: None,
            default_model: put.default_model,
            available_models: put.available_models,
            created_at: found.as_ref().map_or(now, |row| row.created_at),
            updated_at: now,
        };
        row.api_key_sealed = match put.api_key {
            Some(Some(key)) => Some(self.seal.seal(row.id.0.as_bytes(), &key)),
            Some(None) => None,
            None => kept_key(found, base_url.as_ref())?,
        };
        match is_new {
            true => store::insert(&mut *tx, caller.org, &row).await?,
            false => store::update(&mut *tx, caller.org, &row).await?,
        }
        let did = caller.did(Action::ModelConnectionPut, target(name));
        let detail = json!({ "kind": row.kind, "created": is_new });
        record(&mut tx, &[did.changed(changed).detail(&detail)]).await?;
        tx.commit().await?;
        Ok((row.view(), is_new))
    }

    pub async fn get_connection(&self, caller: &Caller, name: &str) -> Result<Connection> {
        let row = store::find(&self.db, caller.org, name).await?;
        row.map(store::Row::view)
            .ok_or_else(|| Error::not_found("model connection"))
    }

    pub async fn list_connections(
        &self,
        caller: &Caller,
        query: &PageQuery,
    ) -> Result<Page<Connection>> {
        let filter = format!("model-connections {}", caller.org);
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

    /// Deletes a connection and its key. Generations in flight end as they would have.
    pub async fn delete_connection(&self, caller: &Caller, name: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        if !store::delete(&mut *tx, caller.org, name).await? {
            return Err(Error::not_found("model connection"));
        }
        let did = caller.did(Action::ModelConnectionDeleted, target(name));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(())
    }

    fn check(&self, name: &str, put: &PutConnection) -> Result<Option<Url>> {
        if !is_name(name) {
            return Err(Error::unprocessable(
                "The name cannot name a connection: use a-z, 0-9 and `-`, a letter first, at most 63.",
            ));
        }
        check_model("/default_model", &put.default_model)?;
        if put.available_models.len() > MODELS_MAX {
            return Err(unusable(
                "/available_models",
                format!("names at most {MODELS_MAX} models"),
            ));
        }
        for (place, model) in put.available_models.iter().enumerate() {
            check_model(&format!("/available_models/{place}"), model)?;
        }
        if let Some(Some(key)) = &put.api_key {
            check_key(put.kind, key.expose())?;
        }
        match (put.kind, &put.base_url) {
            (Kind::Offline, None) => Ok(None),
            (Kind::Offline, Some(_)) => Err(unusable(
                "/base_url",
                "has no meaning for `offline`: leave it out",
            )),
            (Kind::Openai, None) => Err(unusable("/base_url", "is needed for `openai`")),
            (Kind::Openai, Some(text)) => check_url(text, self.config.allow_http_models)
                .map(Some)
                .map_err(|detail| unusable("/base_url", detail)),
        }
    }
}

fn target(name: &str) -> Target {
    Target::new("model_connection", name)
}

/// The names of the fields a put sets: a key that is kept is not set.
fn changed(put: &PutConnection) -> Vec<&'static str> {
    let mut names = vec!["kind", "default_model", "available_models"];
    names.extend(put.base_url.as_ref().map(|_| "base_url"));
    names.extend(put.api_key.as_ref().map(|_| "api_key"));
    names
}

/// The key there is, where the address it was given for is still the address.
fn kept_key(found: Option<store::Row>, base_url: Option<&Url>) -> Result<Option<Vec<u8>>> {
    let Some(row) = found else { return Ok(None) };
    let Some(url) = base_url else { return Ok(None) };
    let before = row.base_url.and_then(|text| Url::parse(&text).ok());
    if row.api_key_sealed.is_some() && before.map(|url| url.origin()) != Some(url.origin()) {
        return Err(unusable(
            "/api_key",
            "must be sent again, or as null: the key there is belongs to the former address",
        ));
    }
    Ok(row.api_key_sealed)
}

fn check_url(text: &str, allow_http: bool) -> std::result::Result<Url, &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("must have at most 2,048 bytes");
    }
    let url = Url::parse(text).map_err(|_| "must be an http or https URL")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must be an http or https URL");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no credentials: send the key as `api_key`");
    }
    if url.fragment().is_some() {
        return Err("must hold no fragment");
    }
    if url.scheme() == "http" && !(allow_http && is_loopback(&url)) {
        return Err("must be https; plain http is for this machine in development only");
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn check_model(pointer: &str, model: &str) -> Result<()> {
    if model.is_empty() || model.len() > MODEL_BYTES_MAX || model.chars().any(char::is_control) {
        return Err(unusable(
            pointer,
            "must have 1 to 256 bytes and no control character",
        ));
    }
    Ok(())
}

fn check_key(kind: Kind, key: &str) -> Result<()> {
    if kind == Kind::Offline {
        return Err(unusable(
            "/api_key",
            "has no meaning for `offline`: leave it out",
        ));
    }
    // What a header can carry; a key with a line break was pasted wrongly.
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(unusable(
            "/api_key",
            "must be visible ASCII without spaces, at most 8 KiB",
        ));
    }
    Ok(())
}

fn unusable(pointer: &str, detail: impl Into<String>) -> Error {
    Error::unprocessable("The connection is not usable.").field(pointer, detail)
}

/// Tells an absent field from a null one.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Secret>>, D::Error> {
    Option::deserialize(value).map(Some)
}
