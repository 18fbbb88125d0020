//! Agents and versions as they are listed and shown. A version never changes; its number is never used again.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::signed::PublisherId;
use super::{AgentId, Agents, Digest, Manifest, store};
use crate::guardrails::RuleView;
use crate::identity::Caller;
use crate::kit::http::{Cursor, Page, PageQuery};
use crate::kit::{Error, Result};

/// An agent, with the version its stable channel points at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Agent {
    #[serde(skip)]
    pub id: AgentId,
    pub name: String,
    /// The version the stable channel points at: what new runs take but for the canary's share. Absent until there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<i32>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

/// An immutable version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Version {
    /// 1, 2, 3… within the agent.
    pub number: i32,
    /// A name beside the number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `sha256:` and the digest of the component's bytes.
    pub digest: String,
    pub manifest: Manifest,
    /// Its guardrails, understood: the kind, the words, and where each is enforced.
    pub guardrails: Vec<RuleView>,
    /// The interfaces it imports: its permission request.
    pub imports: Vec<String>,
    /// The publisher's key that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub signed_by: Option<PublisherId>,
    pub size_bytes: i64,
    pub compile_ms: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

pub(super) struct NewVersion {
    pub(super) digest: Digest,
    pub(super) manifest: Manifest,
    pub(super) imports: Vec<String>,
    pub(super) compile_ms: i64,
}

impl Agents {
    pub async fn list(&self, caller: &Caller, query: &PageQuery) -> Result<Page<Agent>> {
        let filter = format!("agents {}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let rows = store::list_agents(&self.db, caller.org, start, limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |agent| {
            (
                Cursor {
                    at: agent.created_at,
                    id: agent.id.0,
                },
                agent,
            )
        }))
    }

    pub async fn get(&self, caller: &Caller, name: &str) -> Result<Agent> {
        store::find_agent(&self.db, caller.org, name)
            .await?
            .ok_or_else(|| Error::not_found("agent"))
    }

    pub async fn list_versions(
        &self,
        caller: &Caller,
        name: &str,
        query: &PageQuery,
    ) -> Result<Page<Version>> {
        let agent = self.get(caller, name).await?;
        let filter = format!("versions {} {}", caller.org, agent.id);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        // Numbers order versions; the cursor carries one in the place of an id.
        let before = start.and_then(|cursor| i32::try_from(cursor.id.as_u128()).ok());
        let rows =
            store::list_versions(&self.db, (caller.org, agent.id), before, limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |version| {
            let id = Uuid::from_u128(version.number.unsigned_abs().into());
            (
                Cursor {
                    at: version.created_at,
                    id,
                },
                version,
            )
        }))
    }

    pub async fn get_version(&self, caller: &Caller, name: &str, number: i32) -> Result<Version> {
        let agent = self.get(caller, name).await?;
        store::find_version(&self.db, (caller.org, agent.id), number)
            .await?
            .ok_or_else(|| Error::not_found("version"))
    }
}
