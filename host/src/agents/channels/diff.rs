//! What a version asks for beyond the stable one, in words that are approved one by one: imports, hosts, tools, the
//! model, larger limits, and guardrails that the stable one declares and it does not.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::store;
use crate::agents::{Agent, Agents, Version};
use crate::guardrails::{Rule, parse};
use crate::identity::Caller;
use crate::kit::{Code, Error, Result};

pub const CAPABILITIES_NOT_APPROVED: Code = Code::new(
    "capabilities_not_approved",
    409,
    "The version asks for more than the stable one",
);

/// A version against the stable one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Diff {
    /// The stable version it is compared with; absent where there is none, and then nothing needs approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<i32>,
    /// What has to be approved before a channel may point at it: `import:`, `host:`, `tool:`, `model:`, `limit:` for what
    /// it asks for, `without:` for a guardrail it drops.
    pub more: Vec<String>,
    /// What the stable one asks for and it does not.
    pub less: Vec<String>,
}

impl Agents {
    /// What approving the version for a channel would allow it.
    pub async fn diff(&self, caller: &Caller, name: &str, number: i32) -> Result<Diff> {
        let agent = self.get(caller, name).await?;
        self.diff_of(caller, &agent, number).await
    }

    /// What the version asks for, against the stable one as it is now.
    pub(super) async fn diff_of(
        &self,
        caller: &Caller,
        agent: &Agent,
        number: i32,
    ) -> Result<Diff> {
        let find = |number| store::find_version(&self.db, (caller.org, agent.id), number);
        let candidate = find(number)
            .await?
            .ok_or_else(|| Error::not_found("version"))?;
        let Some(stable) = agent.stable else {
            return Ok(Diff::default());
        };
        let Some(stable) = find(stable).await? else {
            return Err(Error::internal(
                "a channel points at a version that is gone",
            ));
        };
        let (asked, had) = (asks(&candidate), asks(&stable));
        let dropped = stable.manifest.guardrails.iter();
        let dropped = dropped.filter(|rule| !candidate.manifest.guardrails.contains(rule));
        let mut more: Vec<String> = asked.difference(&had).cloned().collect();
        more.extend(self.larger(caller, agent, (&candidate, &stable)).await?);
        more.extend(dropped.map(|rule| format!("without:{rule}")));
        Ok(Diff {
            stable: Some(stable.number),
            more,
            less: had.difference(&asked).cloned().collect(),
        })
    }

    /// The limits that bind the one later than the other.
    async fn larger(
        &self,
        caller: &Caller,
        agent: &Agent,
        (candidate, stable): (&Version, &Version),
    ) -> Result<Vec<String>> {
        let of = |version: &Version| Some((agent.id.0, version.number));
        let asked = self.limits.effective(caller.org, of(candidate)).await?;
        let had = self.limits.effective(caller.org, of(stable)).await?;
        let larger = asked.larger_than(&had);
        Ok(larger
            .into_iter()
            .map(|name| format!("limit:{name}"))
            .collect())
    }
}

impl Diff {
    /// Refuses what is not approved, by name. What is approved and not asked for means nothing.
    pub(super) fn approved_by(self, number: i32, approved: &[String]) -> Result<Vec<String>> {
        let more = self.more.into_iter();
        let (asked, left): (Vec<_>, Vec<_>) = more.partition(|more| approved.contains(more));
        let (Some(stable), false) = (self.stable, left.is_empty()) else {
            return Ok(asked);
        };
        let words: Vec<String> = left.iter().map(|more| format!("`{more}`")).collect();
        let detail = format!(
            "Version {number} asks for more than the stable version {stable}: {}. Name each in `approve_capabilities` (`--approve`) to allow it.",
            words.join(", ")
        );
        Err(CAPABILITIES_NOT_APPROVED
            .because(detail)
            .member("approve", left))
    }
}

/// What a version asks for. What every component links, whether it is used or not, is no request.
fn asks(version: &Version) -> BTreeSet<String> {
    let imports = version.imports.iter().filter_map(|import| {
        let name = import.strip_prefix("bulkhead:agent/")?.split('@').next()?;
        (name != "types").then(|| format!("import:{name}"))
    });
    let tools = version.manifest.tools.iter();
    let tools = tools.map(|tool| format!("tool:{}", tool.name));
    let (rules, _) = parse(&version.manifest.guardrails);
    let hosts = rules.iter().filter_map(|declared| match &declared.rule {
        Rule::EgressAllowlist(hosts) => Some(hosts.clone()),
        _ => None,
    });
    let hosts = hosts.flatten().map(|host| format!("host:{host}"));
    let model = format!("model:{}", version.manifest.model);
    imports.chain(tools).chain(hosts).chain([model]).collect()
}
