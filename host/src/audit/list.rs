//! Lists: newest first, by keyset over the time and the number, for 30 days where no window is asked for.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Audit, store};
use crate::identity::Caller;
use crate::kit::http::{Cursor, Page};
use crate::kit::{Error, OrgId, Result};
use crate::ledger::audit::{Action, Source, Status, Stored};

const WINDOW: Duration = Duration::days(30);

/// Logs that are in the catalogue and have nothing to list: this host offers agents neither tools nor a network.
const EMPTY: [&str; 2] = ["tools", "egress"];

/// What a list is narrowed to.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Narrowed {
    /// At or after, RFC 3339; 30 days before `to` where absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub from: Option<OffsetDateTime>,
    /// Before, RFC 3339; now where absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub to: Option<OffsetDateTime>,
    /// A key's id, `operator`, or the part of the host that acted.
    pub actor: Option<String>,
    /// Such as `api_key.created`.
    pub action: Option<String>,
    /// `done`, `refused`, `delivered` or `failed`.
    pub status: Option<String>,
}

/// A list's parameters.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 200; 50 where absent.
    pub limit: Option<u32>,
    /// At or after, RFC 3339; 30 days before `to` where absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub from: Option<OffsetDateTime>,
    /// Before, RFC 3339; now where absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub to: Option<OffsetDateTime>,
    /// A key's id, `operator`, or the part of the host that acted.
    pub actor: Option<String>,
    /// Such as `api_key.created`.
    pub action: Option<String>,
    /// `done`, `refused`, `delivered` or `failed`.
    pub status: Option<String>,
}

/// A row as it is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    /// 1, 2, 3… within the organization, over all sources.
    pub seq: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub actor: Named,
    pub action: String,
    pub target: Named,
    /// The names of the fields that were set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    pub status: String,
    /// Why it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Value>,
    /// SHA-256 over this row and the hash of the row before.
    pub hash: String,
}

/// Who, or what.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Named {
    pub kind: String,
    pub id: String,
}

/// A checked filter.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) org: OrgId,
    pub(super) source: &'static str,
    pub(super) from: OffsetDateTime,
    pub(super) to: Option<OffsetDateTime>,
    pub(super) actor: Option<String>,
    pub(super) action: Option<String>,
    pub(super) status: Option<String>,
}

impl From<ListQuery> for Narrowed {
    fn from(query: ListQuery) -> Self {
        Self {
            from: query.from,
            to: query.to,
            actor: query.actor,
            action: query.action,
            status: query.status,
        }
    }
}

impl From<Stored> for AuditEntry {
    fn from(row: Stored) -> Self {
        let named = |kind, id| Named { kind, id };
        Self {
            seq: row.seq,
            at: row.at,
            actor: named(row.actor, row.actor_id),
            action: row.action,
            target: named(row.target, row.target_id),
            changed: row.changed,
            status: row.status,
            code: row.code,
            request_id: row.request_id,
            ip: row.ip,
            detail: row.detail.and_then(|text| serde_json::from_str(&text).ok()),
            hash: hex::encode(row.hash),
        }
    }
}

impl Audit {
    pub async fn list(
        &self,
        caller: &Caller,
        source: &str,
        query: ListQuery,
    ) -> Result<Page<AuditEntry>> {
        let cursors = &self.inner.base.cursors;
        let (cursor, limit) = (query.cursor.clone(), query.limit);
        let narrowed = Narrowed::from(query);
        let filter = self.filter(caller, source, &narrowed)?;
        let name = format!("audit {source} {} {narrowed:?}", caller.org);
        let (limit, start) = cursors.read(cursor.as_deref(), limit, &name)?;
        let rows = store::list(&self.inner.base.db, &filter, (start, limit + 1)).await?;
        Ok(cursors.page(rows, limit, &name, |row| (place(&row), row.into())))
    }

    pub(super) fn filter(
        &self,
        caller: &Caller,
        source: &str,
        narrowed: &Narrowed,
    ) -> Result<Filter> {
        let Narrowed {
            from,
            to,
            actor,
            action,
            status,
        } = narrowed.clone();
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Error::invalid("`from` must be before `to`."));
        }
        if let Some(name) = action
            .as_deref()
            .filter(|name| Action::parse(name).is_none())
        {
            return Err(Error::invalid(format!(
                "No action is called `{name}`; docs/audit.md lists them."
            )));
        }
        let known = |name: &&str| Status::ALL.iter().all(|status| status.as_str() != *name);
        if status.as_deref().filter(known).is_some() {
            return Err(Error::invalid(
                "`status` is done, refused, delivered or failed.",
            ));
        }
        let end = to.unwrap_or_else(|| self.inner.base.clock.now());
        Ok(Filter {
            org: caller.org,
            source: source_named(source)?,
            from: from.unwrap_or_else(|| end.saturating_sub(WINDOW)),
            to,
            actor,
            action,
            status,
        })
    }
}

/// Where a row stands in a list.
pub(super) fn place(row: &Stored) -> Cursor {
    Cursor {
        at: row.at,
        id: Uuid::from_u128(row.seq.unsigned_abs().into()),
    }
}

fn source_named(name: &str) -> Result<&'static str> {
    let sources = [Source::Actions, Source::Provisioning, Source::Deliveries].map(Source::as_str);
    let mut known = sources.into_iter().chain(EMPTY);
    known
        .find(|known| *known == name)
        .ok_or_else(|| Error::not_found("audit log"))
}
