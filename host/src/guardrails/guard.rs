//! The guardrails of one life of a run: what it has used of them, asked at the host's import boundaries. All it decides
//! is a function of what the guest asked and was answered, so that a resumed run and a replay decide the same.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::redact::{self, Counts, Set, Stream};
use super::rules::{At, Kind, Rule, Rules};
use crate::sandbox::Blocked;

/// The guardrails of one life of a run.
#[derive(Debug)]
pub struct Guard {
    rules: Arc<Rules>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    generations: u32,
    calls: u32,
    output_tokens: u64,
    /// Passages of knowledge the run was given.
    passages: usize,
    cited: bool,
    said: bool,
    redacted: BTreeMap<(Kind, At), Counts>,
    rewritten: BTreeMap<(String, At), u32>,
}

/// What was rewritten at one place of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    pub kind: Kind,
    pub rule: String,
    pub at: At,
    pub action: &'static str,
    pub detail: Value,
}

impl Guard {
    pub fn new(rules: Arc<Rules>) -> Arc<Self> {
        Arc::new(Self {
            rules,
            state: Mutex::default(),
        })
    }

    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Before a generation: the most tokens it may have, where somebody limits them.
    pub fn generates(&self, wanted: Option<u32>) -> Result<Option<u32>, Blocked> {
        let mut state = self.lock();
        let iterations = |rule: &Rule| match rule {
            Rule::MaxIterations(most) => Some(*most),
            _ => None,
        };
        if let Some((most, rule)) = self.rules.find(iterations)
            && state.generations >= most
        {
            let message = format!("the model was to be asked more than {most} times");
            let detail = json!({ "limit": most });
            return Err(blocked(
                Kind::MaxIterations,
                rule,
                At::Model,
                (message, detail),
            ));
        }
        let Some((most, rule)) = self.rules.find(tokens) else {
            state.generations += 1;
            return Ok(wanted);
        };
        let left = u64::from(most).saturating_sub(state.output_tokens);
        if left == 0 {
            return Err(too_many(rule, most, state.output_tokens));
        }
        state.generations += 1;
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        Ok(Some(wanted.map_or(left, |wanted| wanted.min(left))))
    }

    /// After a generation: what it brought.
    pub fn generated(&self, output_tokens: u64) -> Result<(), Blocked> {
        let mut state = self.lock();
        state.output_tokens = state.output_tokens.saturating_add(output_tokens);
        match self.rules.find(tokens) {
            Some((most, rule)) if state.output_tokens > u64::from(most) => {
                Err(too_many(rule, most, state.output_tokens))
            }
            _ => Ok(()),
        }
    }

    /// Whether the model is told of the tool.
    pub fn offers(&self, tool: &str) -> bool {
        self.allowed(tool).is_ok()
    }

    /// The model asks for a tool.
    pub fn asked_for(&self, tool: &str) -> Result<(), Blocked> {
        self.allowed(tool)
    }

    /// A tool of the guest starts.
    pub fn starts(&self, tool: &str) -> Result<(), Blocked> {
        self.allowed(tool)?;
        let calls = |rule: &Rule| match rule {
            Rule::MaxToolCalls(most) => Some(*most),
            _ => None,
        };
        let mut state = self.lock();
        if let Some((most, rule)) = self.rules.find(calls)
            && state.calls >= most
        {
            let message = format!("more than {most} tool calls were to be made");
            let detail = json!({ "limit": most });
            return Err(blocked(
                Kind::MaxToolCalls,
                rule,
                At::Tool,
                (message, detail),
            ));
        }
        state.calls += 1;
        Ok(())
    }

    fn allowed(&self, tool: &str) -> Result<(), Blocked> {
        fn list(rule: &Rule) -> Option<&Vec<String>> {
            match rule {
                Rule::ToolAllowlist(list) => Some(list),
                _ => None,
            }
        }
        match self.rules.find(list) {
            Some((list, rule)) if !list.iter().any(|known| known == tool) => {
                let message = "a tool was asked for that is not on the list".to_owned();
                let detail = json!({ "allowed": list.len() });
                Err(blocked(
                    Kind::ToolAllowlist,
                    rule,
                    At::Tool,
                    (message, detail),
                ))
            }
            _ => Ok(()),
        }
    }

    pub fn found(&self, passages: usize) {
        let mut state = self.lock();
        state.passages = state.passages.saturating_add(passages);
    }

    pub fn cited(&self) {
        self.lock().cited = true;
    }

    /// Text of the answer was said.
    pub fn said(&self, text: &str) {
        if !text.trim().is_empty() {
            self.lock().said = true;
        }
    }

    /// The guest has returned: an answer from knowledge must cite.
    pub fn finishes(&self) -> Result<(), Blocked> {
        let citation = |rule: &Rule| matches!(rule, Rule::RequireCitation).then_some(());
        let Some((_, rule)) = self.rules.find(citation) else {
            return Ok(());
        };
        let state = self.lock();
        if state.passages == 0 || !state.said || state.cited {
            return Ok(());
        }
        let message = "the answer had passages of knowledge and cites none of them".to_owned();
        let detail = json!({ "passages": state.passages, "citations": 0 });
        Err(blocked(
            Kind::RequireCitation,
            rule,
            At::Finish,
            (message, detail),
        ))
    }

    /// What may pass at a place: credentials never, personal data where the rules let it.
    pub fn clean(&self, at: At, text: &mut String) {
        let mut counts = Counts::default();
        if let std::borrow::Cow::Owned(redacted) = redact::text(self.set(at), text, &mut counts) {
            self.redacted(at, &counts);
            *text = redacted;
        }
    }

    /// The same for a JSON value.
    pub fn clean_json(&self, at: At, value: &mut Value) {
        let mut counts = Counts::default();
        redact::json(self.set(at), value, &mut counts);
        self.redacted(at, &counts);
    }

    /// For text that comes in pieces; `redacted` is told of its counts at its end.
    pub fn stream(&self, at: At) -> Stream {
        Stream::new(self.set(at))
    }

    /// What is looked for at a place. Models, tools and knowledge work with what is really there: personal data is kept
    /// from clients, credentials from everybody.
    pub(super) fn set(&self, at: At) -> Set {
        Set::with_pii(match at {
            At::Input => self.rules.redacts_input(),
            At::Output | At::Log => self.rules.redacts_output(),
            _ => false,
        })
    }

    pub fn redacted(&self, at: At, counts: &Counts) {
        let mut state = self.lock();
        for (kind, of) in super::entry::by_kind(counts) {
            state.redacted.entry((kind, at)).or_default().join(&of);
        }
    }

    /// A guardrail component has rewritten something.
    pub fn rewritten(&self, rule: &str, at: At) {
        let mut state = self.lock();
        *state.rewritten.entry((rule.to_owned(), at)).or_default() += 1;
    }

    /// Everything that was rewritten.
    pub fn rewrites(&self) -> Vec<Rewrite> {
        let state = self.lock();
        let redacted = state
            .redacted
            .iter()
            .map(|((kind, at), counts)| super::entry::rewrite(&self.rules, (*kind, *at), counts));
        let rewritten = state.rewritten.iter().map(|((rule, at), count)| Rewrite {
            kind: Kind::Component,
            rule: rule.clone(),
            at: *at,
            action: "rewritten",
            detail: json!({ "rewritten": count }),
        });
        redacted.chain(rewritten).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tokens(rule: &Rule) -> Option<u32> {
    match rule {
        Rule::MaxTokens(most) => Some(*most),
        _ => None,
    }
}

fn too_many(rule: &str, most: u32, used: u64) -> Blocked {
    let message = format!("the models' answers have {used} tokens; {most} are allowed");
    let detail = json!({ "limit": most, "output_tokens": used });
    blocked(Kind::MaxTokens, rule, At::Model, (message, detail))
}

/// The envelope of a firing.
pub fn blocked(kind: Kind, rule: &str, at: At, (message, detail): (String, Value)) -> Blocked {
    Blocked {
        stop_reason: kind.stop_reason(),
        kind: kind.name(),
        rule: rule.into(),
        at: at.name(),
        message,
        detail,
    }
}
