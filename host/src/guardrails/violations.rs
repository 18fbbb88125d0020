//! Violations: what guardrails refused, blocked and rewrote, as rows and as they are listed. Counts and limits, never the
//! words that were at fault.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::guard::Rewrite;
use super::http::ListQuery;
use super::{Guardrails, ViolationId, store};
use crate::identity::Caller;
use crate::kit::http::{Cursor, Page};
use crate::kit::{Error, OrgId, Result};
use crate::sandbox::Blocked;

/// One row.
#[derive(Clone, Debug)]
pub struct Violation {
    pub org: OrgId,
    pub id: ViolationId,
    pub agent: Uuid,
    pub version: i32,
    pub run: Option<Uuid>,
    pub kind: &'static str,
    pub rule: String,
    pub at: &'static str,
    pub action: &'static str,
    pub message: String,
    pub detail: Value,
    pub created_at: OffsetDateTime,
}

/// Whose violation it is, and when.
#[derive(Clone, Copy, Debug)]
pub struct Occurred {
    pub org: OrgId,
    pub agent: Uuid,
    pub version: i32,
    pub run: Uuid,
    pub at: OffsetDateTime,
}

impl Violation {
    /// A run was ended.
    pub fn blocked(of: Occurred, id: ViolationId, blocked: &Blocked) -> Self {
        Self {
            org: of.org,
            id,
            agent: of.agent,
            version: of.version,
            run: Some(of.run),
            kind: blocked.kind,
            rule: blocked.rule.to_string(),
            at: blocked.at,
            action: "blocked",
            message: blocked.message.clone(),
            detail: blocked.detail.clone(),
            created_at: of.at,
        }
    }

    /// Something was rewritten, and the run went on.
    pub fn rewritten(of: Occurred, id: ViolationId, rewrite: &Rewrite) -> Self {
        Self {
            org: of.org,
            id,
            agent: of.agent,
            version: of.version,
            run: Some(of.run),
            kind: rewrite.kind.name(),
            rule: rewrite.rule.clone(),
            at: rewrite.at.name(),
            action: rewrite.action,
            message: format!("text was {}", rewrite.action),
            detail: rewrite.detail.clone(),
            created_at: of.at,
        }
    }
}

/// A violation as it is listed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViolationView {
    #[schema(value_type = String)]
    pub id: ViolationId,
    pub agent: String,
    pub version: i32,
    /// Absent where the run was refused before it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The guardrail's kind, such as max_tokens.
    pub kind: String,
    /// The guardrail as its author wrote it.
    pub rule: String,
    /// entry, input, model, tool, knowledge, output, log or finish.
    pub at: String,
    /// refused, blocked, redacted or rewritten.
    pub action: String,
    pub message: String,
    /// Counts and limits.
    #[schema(value_type = Object)]
    pub detail: Value,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

const ACTIONS: [&str; 4] = ["refused", "blocked", "redacted", "rewritten"];

impl Guardrails {
    pub async fn violations(
        &self,
        caller: &Caller,
        query: ListQuery,
    ) -> Result<Page<ViolationView>> {
        if let Some(action) = &query.action
            && !ACTIONS.contains(&action.as_str())
        {
            let known = ACTIONS.join(", ");
            return Err(Error::invalid(format!("`action` must be one of {known}.")));
        }
        let run = query.run.as_deref().map(|run| {
            let id = run
                .strip_prefix("run_")
                .and_then(|id| Uuid::try_parse(id).ok());
            id.ok_or_else(|| Error::invalid("`run` must be a run's id, such as `run_…`."))
        });
        let filter = store::Filter {
            agent: query.agent,
            run: run.transpose()?,
            kind: query.kind,
            action: query.action,
            from: query.from,
            to: query.to,
        };
        let name = format!("violations {} {filter:?}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &name)?;
        let rows = store::list(&self.db, caller.org, &filter, (start, limit + 1)).await?;
        Ok(self.cursors.page(rows, limit, &name, |row| {
            let cursor = Cursor {
                at: row.created_at,
                id: row.id.0,
            };
            (cursor, row)
        }))
    }
}
