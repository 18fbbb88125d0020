//! One guardrail, understood; and all that a version declares, by what each asks.

use serde::Serialize;
use utoipa::ToSchema;

use super::Kind;

/// The unit of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    Second,
    Minute,
    Hour,
    Day,
}

impl Per {
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "sec",
            Self::Minute => "min",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    pub fn seconds(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// A guardrail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Rate { most: u32, per: Per },
    InputMaxChars(u32),
    MaxTokens(u32),
    MaxToolCalls(u32),
    MaxIterations(u32),
    ToolAllowlist(Vec<String>),
    EgressAllowlist(Vec<String>),
    RequireCitation,
    Pii { input: bool, output: bool },
    Topic(String),
    Component(String),
}

impl Rule {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Rate { .. } => Kind::Rate,
            Self::InputMaxChars(_) => Kind::InputMaxChars,
            Self::MaxTokens(_) => Kind::MaxTokens,
            Self::MaxToolCalls(_) => Kind::MaxToolCalls,
            Self::MaxIterations(_) => Kind::MaxIterations,
            Self::ToolAllowlist(_) => Kind::ToolAllowlist,
            Self::EgressAllowlist(_) => Kind::EgressAllowlist,
            Self::RequireCitation => Kind::RequireCitation,
            Self::Pii { .. } => Kind::Pii,
            Self::Topic(_) => Kind::Topic,
            Self::Component(_) => Kind::Component,
        }
    }

    /// Whether both would say the same thing twice, or contradict each other.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rate { per, .. }, Self::Rate { per: other, .. }) => per == other,
            (Self::Component(name), Self::Component(other)) => name == other,
            _ => self.kind() == other.kind(),
        }
    }
}

/// A guardrail as a version shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RuleView {
    pub kind: &'static str,
    /// As its author wrote it.
    pub rule: String,
    /// Where it is enforced: entry, input, model, tool, output, finish; none yet of egress.
    pub at: Vec<&'static str>,
}

/// A guardrail with the words its author wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub text: String,
    pub rule: Rule,
}

impl Declared {
    pub fn view(&self) -> RuleView {
        let at: &[&'static str] = match &self.rule {
            Rule::Rate { .. } | Rule::InputMaxChars(_) => &["entry"],
            Rule::MaxTokens(_) | Rule::MaxIterations(_) => &["model"],
            Rule::MaxToolCalls(_) => &["tool"],
            Rule::ToolAllowlist(_) => &["model", "tool"],
            // Agents have no way out yet: there is nothing it could stop.
            Rule::EgressAllowlist(_) => &[],
            Rule::RequireCitation => &["finish"],
            Rule::Pii {
                input: true,
                output: true,
            } => &["input", "output"],
            Rule::Pii { input: true, .. } | Rule::Topic(_) => &["input"],
            Rule::Pii { .. } => &["output"],
            Rule::Component(_) => &["input", "output", "tool"],
        };
        RuleView {
            kind: self.rule.kind().name(),
            rule: self.text.clone(),
            at: at.to_vec(),
        }
    }
}

/// Everything a version declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(Vec<Declared>);

impl Rules {
    pub(super) fn new(declared: Vec<Declared>) -> Self {
        Self(declared)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Declared> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn views(&self) -> Vec<RuleView> {
        self.0.iter().map(Declared::view).collect()
    }

    /// What `pick` sees in the first rule it sees something in, and that rule's words.
    pub fn find<'a, T>(&'a self, pick: impl Fn(&'a Rule) -> Option<T>) -> Option<(T, &'a str)> {
        let mut found = self.0.iter();
        found.find_map(|declared| Some((pick(&declared.rule)?, declared.text.as_str())))
    }

    /// The guardrail components it names, in order.
    pub fn components(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|declared| match &declared.rule {
            Rule::Component(name) => Some((name.as_str(), declared.text.as_str())),
            _ => None,
        })
    }

    pub fn redacts_input(&self) -> bool {
        let input = |rule: &Rule| matches!(rule, Rule::Pii { input: true, .. }).then_some(());
        self.find(input).is_some()
    }

    pub fn redacts_output(&self) -> bool {
        let output = |rule: &Rule| matches!(rule, Rule::Pii { output: true, .. }).then_some(());
        self.find(output).is_some()
    }
}
