//! The guardrail: keeps the names of projects inside. The host asks it of everything an agent that names it is asked,
//! says, and asks of its tools.

use bulkhead_sdk::guardrail;
use bulkhead_sdk::guardrails::{Place, Subject, Verdict};

/// Names that nobody outside is to read.
const PROJECTS: [&str; 2] = ["Halcyon", "Bluebird"];

/// What stands for one of them.
const HIDDEN: &str = "[project]";

/// Hides the names in what the agent says, and lets none into a tool.
#[guardrail]
pub fn guardrail(subject: Subject) -> Verdict {
    if !names_one(&subject.text) {
        return Verdict::Allow;
    }
    match subject.place {
        // Whoever asks may know the name.
        Place::Input => Verdict::Allow,
        Place::Output => Verdict::rewrite(hidden(&subject.text)),
        Place::Tool => Verdict::block("A project's name was on its way to a tool."),
    }
}

fn names_one(text: &str) -> bool {
    PROJECTS.iter().any(|name| text.contains(name))
}

fn hidden(text: &str) -> String {
    let hide = |text: String, name: &&str| text.replace(*name, HIDDEN);
    PROJECTS.iter().fold(text.to_owned(), hide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_nothing_passes() {
        for place in [Place::Input, Place::Output, Place::Tool] {
            assert_eq!(
                guardrail(Subject::new(place, "It is late.")),
                Verdict::Allow
            );
        }
    }

    #[test]
    fn names_are_hidden_in_what_is_said() {
        let said = Subject::new(Place::Output, "Halcyon follows Bluebird.");
        let shown = Verdict::rewrite("[project] follows [project].");
        assert_eq!(guardrail(said), shown);
    }

    #[test]
    fn a_question_may_name_one_and_a_tool_may_not() {
        assert_eq!(
            guardrail(Subject::new(Place::Input, "How is Halcyon?")),
            Verdict::Allow
        );
        let call = Subject::new(Place::Tool, r#"{"query": "Halcyon"}"#);
        assert!(matches!(guardrail(call), Verdict::Block(_)));
    }
}
