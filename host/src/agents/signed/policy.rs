//! Whether an organization takes versions that nobody signed. What is deployed already stays as it is.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::store;
use crate::agents::Agents;
use crate::identity::Caller;
use crate::kit::Result;
use crate::kit::error::CONFLICT;
use crate::ledger::audit::{Action, Target, record};

/// What an organization asks of uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// An upload needs the signature of one of the organization's publishers.
    pub required: bool,
}

impl Agents {
    pub async fn signature_policy(&self, caller: &Caller) -> Result<Policy> {
        let required = store::policy(&self.db, caller.org).await?;
        Ok(Policy { required })
    }

    pub async fn put_signature_policy(&self, caller: &Caller, to: Policy) -> Result<Policy> {
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        store::lock(&mut *tx, caller.org).await?;
        if to.required && store::valid(&mut *tx, caller.org).await?.is_empty() {
            return Err(CONFLICT.because(
                "Nobody could upload: add a publisher's key first (`bulkhead publishers add`).",
            ));
        }
        store::put_policy(&mut *tx, (caller.org, caller.key), to.required, now).await?;
        let target = Target::new("organization", &caller.slug);
        let did = caller.did(Action::SignaturePolicySet, target).at(now);
        let detail = json!({ "required": to.required });
        record(&mut tx, &[did.changed(["required"]).detail(&detail)]).await?;
        tx.commit().await?;
        Ok(to)
    }
}
