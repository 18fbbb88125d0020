//! What a person has to look at: rows that the provider refused, that are too old for it, or of which nobody knows
//! whether they arrived. An organization sees its own; the operator, who holds the database, settles them.

mod reason;
mod settle;
mod store;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::BillingRowId;
use crate::billing::Billing;
use crate::identity::Caller;
use crate::kit::Result;
use crate::kit::http::{Cursor, Page, PageQuery};

pub use reason::Reason;
pub use settle::{Reconciliation, SettleAs};

/// A row that a person has to look at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reconciled {
    /// Its identifier at the provider, too.
    #[schema(value_type = String)]
    pub id: BillingRowId,
    pub org: String,
    /// `runs`, `input_tokens` or `output_tokens`.
    pub meter: String,
    /// The day of UTC on which it was used.
    pub day: String,
    pub value: i64,
    /// When it is reported to have been used.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// `refused`, `too_old` or `outcome_unknown`.
    pub reason: String,
    pub attempts: i32,
    #[serde(with = "time::serde::rfc3339::option")]
    pub first_attempt_at: Option<OffsetDateTime>,
    /// What the provider said last.
    pub said: Option<String>,
}

impl Billing {
    /// The rows of the caller's organization that wait for a person, newest first.
    pub(in crate::billing) async fn to_reconcile(
        &self,
        caller: &Caller,
        query: &PageQuery,
    ) -> Result<Page<Reconciled>> {
        let (inner, org) = (&self.inner, caller.org);
        let filter = format!("billing_rows {org}");
        let read = inner
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter);
        let (limit, after) = read?;
        let rows = store::of_org(&inner.db, org, after, limit + 1).await?;
        Ok(inner.cursors.page(rows, limit, &filter, |row| {
            let (at, id) = (row.at, row.id.0);
            (Cursor { at, id }, row)
        }))
    }
}
