//! Labels: names that people give versions. A label is one version's at a time; the number never changes.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{LABEL_TAKEN, store};
use crate::agents::store::{find_version, lock_agent};
use crate::agents::{Agents, Version};
use crate::identity::Caller;
use crate::kit::{Error, Result};
use crate::ledger::audit::{Action, Target, record};

const LABEL_MAX: usize = 63;

/// What to change of a version.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// A letter, then letters, digits, `.`, `_` and `-`, at most 63; null takes the label away.
    #[serde(deserialize_with = "Option::deserialize")]
    pub label: Option<String>,
}

impl Agents {
    pub async fn label(
        &self,
        caller: &Caller,
        (name, number): (&str, i32),
        to: Labels,
    ) -> Result<Version> {
        if to.label.as_deref().is_some_and(|label| !is_label(label)) {
            return Err(Error::unprocessable("The label cannot be this.").field(
                "/label",
                "use a letter first, then letters, digits, `.`, `_` and `-`, at most 63",
            ));
        }
        let agent = self.get(caller, name).await?;
        let which = (caller.org, agent.id);
        let mut tx = self.db.begin().await?;
        // Two who swap labels take turns: each would wait for the other's.
        lock_agent(&mut *tx, which).await?;
        let label = to.label.as_deref();
        let labelled = match store::set_label(&mut *tx, which, number, label).await {
            Err(error) if error.is(LABEL_TAKEN) => {
                tx.rollback().await?;
                let label = label.unwrap_or_default();
                let holder = store::labelled(&self.db, which, label).await?;
                return Err(taken(label, holder));
            }
            labelled => labelled?,
        };
        if !labelled {
            return Err(Error::not_found("version"));
        }
        let target = Target::new("agent_version", format!("{name}/{number}"));
        let did = caller.did(Action::AgentVersionLabelled, target);
        let detail = json!({ "label": to.label });
        let did = did.at(self.clock.now()).changed(["label"]);
        record(&mut tx, &[did.detail(&detail)]).await?;
        tx.commit().await?;
        let version = find_version(&self.db, which, number).await?;
        version.ok_or_else(|| Error::not_found("version"))
    }
}

/// The holder may have given it away in this moment.
fn taken(label: &str, holder: Option<i32>) -> Error {
    let whose = holder.map_or_else(|| "another version".to_owned(), |n| format!("version {n}"));
    LABEL_TAKEN
        .because(format!(
            "`{label}` is the label of {whose}: choose another, or take it from that one first."
        ))
        .member("version", holder)
}

fn is_label(label: &str) -> bool {
    let mut bytes = label.bytes();
    label.len() <= LABEL_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
