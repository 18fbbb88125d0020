//! What an agent states of itself. `#[agent]` writes it, the host asks for it once, at upload, and stores it with the
//! version.

use crate::tools::Tool;

/// What an agent states of itself: `name::manifest()` of an `#[agent]` function called `name`.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, agent};
///
/// /// Answers nothing.
/// #[agent(model = "small", guardrails = ["max_tokens=2000", "pii.redact"])]
/// fn night_watch(_: Turn) -> Result<Outcome> {
///     Ok(Outcome::EndTurn)
/// }
///
/// let manifest = night_watch::manifest();
/// assert_eq!(manifest.name, "night-watch");
/// assert_eq!(manifest.description, "Answers nothing.");
/// assert_eq!(manifest.model, "small");
/// assert_eq!(manifest.guardrails, ["max_tokens=2000", "pii.redact"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// `^[a-z][a-z0-9-]{0,62}$`.
    pub name: String,
    /// What it is for, at most 4 KiB.
    pub description: String,
    /// The model alias it wants.
    pub model: String,
    /// The tools it offers, at most 64.
    pub tools: Vec<ToolManifest>,
    /// What the host holds it to, such as `max_tokens=2000`; at most 64.
    pub guardrails: Vec<String>,
}

impl Manifest {
    #[doc(hidden)]
    #[must_use]
    pub fn of(
        name: &str,
        description: &str,
        model: &str,
        tools: &[Tool],
        guardrails: &[&str],
    ) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            model: model.to_owned(),
            tools: tools.iter().map(ToolManifest::from).collect(),
            guardrails: guardrails.iter().map(|&text| text.to_owned()).collect(),
        }
    }
}

/// A tool an agent offers.
///
/// ```
/// use bulkhead_sdk::agent::ToolManifest;
/// use bulkhead_sdk::{Result, tool};
///
/// /// Answers nothing.
/// #[tool]
/// fn nothing() -> Result<()> {
///     Ok(())
/// }
///
/// assert_eq!(ToolManifest::from(&nothing::TOOL).name, "nothing");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolManifest {
    /// `^[a-zA-Z0-9_-]{1,64}$`, unique within the agent.
    pub name: String,
    /// What it does, at most 4 KiB.
    pub description: String,
    /// A JSON Schema (2020-12) of the arguments, at most 64 KiB.
    pub input_schema: String,
}

impl From<&Tool> for ToolManifest {
    fn from(tool: &Tool) -> Self {
        Self {
            name: tool.name.to_owned(),
            description: tool.description.to_owned(),
            input_schema: (tool.input_schema)(),
        }
    }
}
