//! The kinds of guardrails: their names, as authors write them and as stop reasons say them.

/// What a guardrail is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Rate,
    InputMaxChars,
    MaxTokens,
    MaxToolCalls,
    MaxIterations,
    ToolAllowlist,
    EgressAllowlist,
    RequireCitation,
    Pii,
    /// Always on, never declared.
    Secrets,
    Topic,
    Component,
}

impl Kind {
    /// Those an author can declare.
    pub const DECLARED: [Self; 11] = [
        Self::Rate,
        Self::InputMaxChars,
        Self::MaxTokens,
        Self::MaxToolCalls,
        Self::MaxIterations,
        Self::ToolAllowlist,
        Self::EgressAllowlist,
        Self::RequireCitation,
        Self::Pii,
        Self::Topic,
        Self::Component,
    ];

    /// As authors write it, and violations name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::InputMaxChars => "input_max_chars",
            Self::MaxTokens => "max_tokens",
            Self::MaxToolCalls => "max_tool_calls",
            Self::MaxIterations => "max_iterations",
            Self::ToolAllowlist => "require_tool_allowlist",
            Self::EgressAllowlist => "egress_allowlist",
            Self::RequireCitation => "require_citation",
            Self::Pii => "pii.redact",
            Self::Secrets => "secrets.redact",
            Self::Topic => "topic",
            Self::Component => "component",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        let mut declared = Self::DECLARED.into_iter();
        declared.find(|kind| kind.name() == name)
    }

    /// The stop reason of a run that it ended.
    pub fn stop_reason(self) -> &'static str {
        match self {
            Self::Rate => "blocked:rate",
            Self::InputMaxChars => "blocked:input_max_chars",
            Self::MaxTokens => "blocked:max_tokens",
            Self::MaxToolCalls => "blocked:max_tool_calls",
            Self::MaxIterations => "blocked:max_iterations",
            Self::ToolAllowlist => "blocked:require_tool_allowlist",
            Self::EgressAllowlist => "blocked:egress_allowlist",
            Self::RequireCitation => "blocked:require_citation",
            Self::Pii => "blocked:pii.redact",
            Self::Secrets => "blocked:secrets.redact",
            Self::Topic => "blocked:topic",
            Self::Component => "blocked:component",
        }
    }
}

/// Where a guardrail fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// Before the run is written.
    Entry,
    Input,
    Model,
    Tool,
    Knowledge,
    /// What a guest keeps for its conversation.
    Memory,
    Output,
    /// What the guest writes to its log, and what is said of its failure.
    Log,
    Finish,
}

impl At {
    pub fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Input => "input",
            Self::Model => "model",
            Self::Tool => "tool",
            Self::Knowledge => "knowledge",
            Self::Memory => "memory",
            Self::Output => "output",
            Self::Log => "log",
            Self::Finish => "finish",
        }
    }
}
