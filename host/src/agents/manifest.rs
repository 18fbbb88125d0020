//! What a version states of itself, checked: a manifest is the guest's word and is not trusted to be sane.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::identity::organizations::is_name;
use crate::kit::{Code, Error, Result};
use crate::sandbox::bindings::bulkhead::agent::types;

pub const MANIFEST_REFUSED: Code = Code::new(
    "manifest_refused",
    422,
    "What the component says of itself is not usable",
);

/// The kind of a guardrail component.
pub(super) const GUARDRAIL: &str = "guardrail";

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
}

/// One of the agent's own tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// A JSON Schema of the arguments.
    pub input_schema: serde_json::Value,
}

impl Manifest {
    /// What is stored of a guardrail component, which says nothing of itself.
    pub fn of_guardrail(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            kind: Some(GUARDRAIL.to_owned()),
            model: "default".to_owned(),
            tools: Vec::new(),
            guardrails: Vec::new(),
        }
    }

    /// Checks what `describe` answered; every fault is a field of one error.
    pub fn check(given: types::Manifest) -> Result<Self> {
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
        for (n, tool) in given.tools.into_iter().take(TOOLS_MAX).enumerate() {
            let at = format!("/tools/{n}");
            if !is_tool_name(&tool.name) {
                faults = faults.field(format!("{at}/name"), "must match ^[a-zA-Z0-9_-]{1,64}$");
            } else if tools.iter().any(|other| other.name == tool.name) {
                faults = faults.field(format!("{at}/name"), "another tool has this name");
            }
            if !is_text(&tool.description) {
                faults = faults.field(
                    format!("{at}/description"),
                    "at most 4 KiB, without control characters",
                );
            }
            // PostgreSQL's JSON cannot hold NUL, however it is written.
            let storable =
                tool.input_schema.len() <= SCHEMA_MAX && !tool.input_schema.contains("\\u0000");
            let schema = storable
                .then(|| serde_json::from_str::<serde_json::Value>(&tool.input_schema).ok())
                .flatten()
                .filter(serde_json::Value::is_object);
            let Some(input_schema) = schema else {
                faults = faults.field(
                    format!("{at}/input-schema"),
                    "must be a JSON object of at most 64 KiB, without NUL",
                );
                continue;
            };
            tools.push(Tool {
                name: tool.name,
                description: tool.description,
                input_schema,
            });
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
        })
    }
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
