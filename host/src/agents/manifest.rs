//! What a version states of itself, checked: a manifest is the guest's word and is not trusted to be sane.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::settings::Settings;
use crate::identity::organizations::is_name;
use crate::kit::{Code, Error, Result};
use crate::sandbox::bindings::bulkhead::agent::types;
use crate::sandbox::bindings::provider::bulkhead::agent::provided::{Effect, Offer};
use crate::sandbox::invoke::Described;

pub const MANIFEST_REFUSED: Code = Code::new(
    "manifest_refused",
    422,
    "What the component says of itself is not usable",
);

/// The kind of a guardrail component.
pub(super) const GUARDRAIL: &str = "guardrail";
/// That of a component that only offers tools.
pub(super) const PROVIDER: &str = "tool-provider";

const TEXT_MAX: usize = 4 << 10;
const TOOLS_MAX: usize = 64;
const SCHEMA_MAX: usize = 64 << 10;

/// A version's manifest, as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    pub name: String,
    pub description: String,
    /// What the component is for; absent where it is an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The model alias its generations use where they name none.
    pub model: String,
    pub tools: Vec<Tool>,
    /// What the host holds it to, as its author declares it.
    #[serde(default)]
    pub guardrails: Vec<String>,
    /// The tools it offers others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<Provided>,
    /// Its configuration, as it was deployed with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: Settings,
}

/// One of the agent's own tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// A JSON Schema of the arguments.
    pub input_schema: serde_json::Value,
}

/// A tool that a component offers others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provided {
    #[serde(flatten)]
    pub tool: Tool,
    /// `read`, `mutate` or `destructive`: what its calls do at most.
    pub effect: String,
}

impl Manifest {
    /// What is stored of a component that says nothing of itself.
    pub(super) fn of_kind(kind: &str, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            kind: Some(kind.to_owned()),
            model: "default".to_owned(),
            tools: Vec::new(),
            guardrails: Vec::new(),
            provides: Vec::new(),
            settings: Settings::new(),
        }
    }

    /// Checks what a component said of itself.
    pub(super) fn of(name: &str, said: Described, provides: bool) -> Result<Self> {
        let manifest = match said.manifest {
            Some(manifest) => Self::check(manifest)?,
            None => Self::of_kind(PROVIDER, name),
        };
        let provides = if provides {
            offered(said.tools)?
        } else {
            Vec::new()
        };
        Ok(Self {
            guardrails: said.guardrails,
            provides,
            ..manifest
        })
    }

    /// Checks what `describe` answered; every fault is a field of one error.
    fn check(given: types::Manifest) -> Result<Self> {
        let mut faults = MANIFEST_REFUSED
            .because("The component's `describe` answered a manifest that is not usable.");
        if !is_name(&given.name) {
            faults = faults.field("/name", "use a-z, 0-9 and `-`, a letter first, at most 63");
        }
        if !is_text(&given.description) {
            faults = faults.field("/description", "at most 4 KiB, without control characters");
        }
        if given.model.is_empty() || given.model.len() > 128 || !is_text(&given.model) {
            faults = faults.field(
                "/model",
                "1 to 128 bytes; `default` where it does not matter",
            );
        }
        if given.tools.len() > TOOLS_MAX {
            faults = faults.field("/tools", "at most 64");
        }
        let mut tools: Vec<Tool> = Vec::new();
        for tool in given.tools.into_iter().take(TOOLS_MAX) {
            let words = (tool.name, tool.description, tool.input_schema);
            faults = take(&mut tools, words, faults);
        }
        if !faults.fields.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: given.name,
            description: given.description,
            kind: None,
            model: given.model,
            tools,
            guardrails: Vec::new(),
            provides: Vec::new(),
            settings: Settings::new(),
        })
    }
}

/// Checks what `list-tools` answered.
fn offered(tools: Vec<Offer>) -> Result<Vec<Provided>> {
    let mut faults =
        MANIFEST_REFUSED.because("The component's `list-tools` answered what cannot be offered.");
    if !(1..=TOOLS_MAX).contains(&tools.len()) {
        faults = faults.field("/tools", "1 to 64");
    }
    let (mut taken, mut effects) = (Vec::new(), Vec::new());
    for tool in tools.into_iter().take(TOOLS_MAX) {
        effects.push(match tool.effect {
            Effect::Read => "read",
            Effect::Mutate => "mutate",
            Effect::Destructive => "destructive",
        });
        let words = (tool.name, tool.description, tool.input_schema);
        faults = take(&mut taken, words, faults);
    }
    if !faults.fields.is_empty() {
        return Err(faults);
    }
    let provided = taken
        .into_iter()
        .zip(effects)
        .map(|(tool, effect)| Provided {
            tool,
            effect: effect.to_owned(),
        });
    Ok(provided.collect())
}

/// Takes one more tool, and adds what is wrong with it.
fn take(
    tools: &mut Vec<Tool>,
    (name, description, schema): (String, String, String),
    mut faults: Error,
) -> Error {
    let at = format!("/tools/{}", tools.len());
    if !is_tool_name(&name) {
        faults = faults.field(format!("{at}/name"), "must match ^[a-zA-Z0-9_-]{1,64}$");
    } else if tools.iter().any(|other| other.name == name) {
        faults = faults.field(format!("{at}/name"), "another tool has this name");
    }
    if !is_text(&description) {
        faults = faults.field(
            format!("{at}/description"),
            "at most 4 KiB, without control characters",
        );
    }
    // PostgreSQL's JSON cannot hold NUL, however it is written.
    let storable = schema.len() <= SCHEMA_MAX && !schema.contains("\\u0000");
    let schema = storable
        .then(|| serde_json::from_str::<serde_json::Value>(&schema).ok())
        .flatten()
        .filter(serde_json::Value::is_object);
    if schema.is_none() {
        faults = faults.field(
            format!("{at}/input-schema"),
            "must be a JSON object of at most 64 KiB, without NUL",
        );
    }
    // One with a fault has its place too: the next is told by its own.
    tools.push(Tool {
        name,
        description,
        input_schema: schema.unwrap_or_default(),
    });
    faults
}

fn is_text(text: &str) -> bool {
    text.len() <= TEXT_MAX
        && !text
            .chars()
            .any(|c| c.is_control() && c != '\n' && c != '\t')
}

fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}
