//! Judging what goes into an agent's runs and comes out of them: what a function under `#[guardrail]` is given and may
//! answer. A component of its own; agents of the organization name it as `component=…` among their guardrails.

/// Where a text is on its way.
///
/// ```
/// use bulkhead_sdk::guardrails::Place;
///
/// assert_ne!(Place::Input, Place::Output);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What a person asks the agent.
    Input,
    /// What the agent says: its answer in pieces of at most 8 KiB.
    Output,
    /// The arguments of a tool the model asks for, a JSON object.
    Tool,
}

/// What is judged.
///
/// ```
/// use bulkhead_sdk::guardrails::{Place, Subject};
///
/// let subject = Subject::new(Place::Output, "It is 4711.");
/// assert_eq!((subject.text.as_str(), subject.agent.as_str()), ("It is 4711.", "test"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Where it is on its way.
    pub place: Place,
    /// The agent's name, by its manifest.
    pub agent: String,
    /// The tool's name, at [`Place::Tool`].
    pub tool: Option<String>,
    /// At most 1 MiB.
    pub text: String,
}

impl Subject {
    /// A text on its way, of an agent called `test`: for tests. At [`Place::Tool`] the tool is called `test` too.
    #[must_use]
    pub fn new(place: Place, text: &str) -> Self {
        let tool = (place == Place::Tool).then(|| "test".to_owned());
        Self {
            place,
            agent: "test".to_owned(),
            tool,
            text: text.to_owned(),
        }
    }
}

/// What is to become of it.
///
/// ```
/// use bulkhead_sdk::guardrails::Verdict;
///
/// assert_eq!(Verdict::rewrite("…"), Verdict::Rewrite("…".to_owned()));
/// assert_eq!(Verdict::block("It names a project."), Verdict::Block("It names a project.".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes as it is.
    Allow,
    /// It passes as this, at most 1 MiB; at [`Place::Tool`] a JSON object.
    Rewrite(String),
    /// The run ends. Why, for its operator, at most 1 KiB: not the words that were at fault.
    Block(String),
}

impl Verdict {
    /// It passes as `text`.
    pub fn rewrite(text: impl Into<String>) -> Self {
        Self::Rewrite(text.into())
    }

    /// The run ends, and its operator reads why.
    pub fn block(why: impl Into<String>) -> Self {
        Self::Block(why.into())
    }
}

/// What `#[guardrail]` makes of a function.
#[doc(hidden)]
pub trait Judge {
    /// Judges one text.
    fn check(subject: Subject) -> Verdict;
}
