//! Deleting a version: refused while a channel or an open conversation uses it, and who that is is said. Its row stays,
//! because runs name it.

use serde_json::json;

use super::{VERSION_IN_USE, store};
use crate::agents::Agents;
use crate::agents::store::lock_agent;
use crate::conversations;
use crate::identity::Caller;
use crate::kit::{Error, Result};
use crate::ledger::audit::{Action, Target, record};

impl Agents {
    pub async fn delete(&self, caller: &Caller, name: &str, number: i32) -> Result<()> {
        let agent = self.get(caller, name).await?;
        let which = (caller.org, agent.id);
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // Channels move under the same lock.
        lock_agent(&mut *tx, which).await?;
        let mut users = store::channels_on(&mut *tx, which, number).await?;
        let open =
            conversations::staying(&mut *tx, (caller.org, agent.id.0), (number, now)).await?;
        if open > 0 {
            users.push(format!("{open} open conversations"));
        }
        if !users.is_empty() {
            return Err(VERSION_IN_USE
                .because(format!(
                    "Version {number} of `{name}` is used by {}: move them to another version first.",
                    users.join(" and ")
                ))
                .member("users", users));
        }
        if !store::delete(&mut *tx, which, number, now).await? {
            return Err(Error::not_found("version"));
        }
        let target = Target::new("agent_version", format!("{name}/{number}"));
        let did = caller.did(Action::AgentVersionDeleted, target).at(now);
        record(&mut tx, &[did.detail(&json!({ "version": number }))]).await?;
        tx.commit().await?;
        self.resolved.invalidate_all();
        tracing::info!(org = %caller.slug, agent = name, version = number, "version deleted");
        Ok(())
    }
}
