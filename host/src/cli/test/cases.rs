//! `tests/cases.toml`: what the component is asked and what is expected of it. Read strictly, before anything is built;
//! what is wrong is told with its place.

use std::collections::BTreeSet;
use std::path::Path;

use figment::Figment;
use figment::providers::{Format as _, Toml};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cli::terminal::Failure;

const FILE_BYTES_MAX: u64 = 1 << 20;
const CASES_MAX: usize = 1_000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
}

/// One question and what is expected of the answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// What an agent is asked.
    pub(super) ask: Option<Ask>,
    /// What a guardrail component is to judge.
    pub(super) judge: Option<String>,
    /// Where that text is on its way.
    #[serde(default)]
    pub(super) place: Place,
    /// What the model answers, generation by generation; the offline model answers where it is absent.
    pub(super) model: Option<Vec<Answer>>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// A text, or a conversation with the message to answer last.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "`ask` must be a text or a list of { role, text } with the role user or assistant"
)]
pub(super) enum Ask {
    Text(String),
    Messages(Vec<Message>),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    role: Role,
    text: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    Input,
    #[default]
    Output,
    Tool,
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Tool => "tool",
        }
    }
}

/// One answer of the scripted model.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "an answer of `model` must be a text, { call, arguments }, { text, calls } or { error }"
)]
pub(super) enum Answer {
    Text(String),
    Call(Call),
    Calls(Calls),
    Error(Refusal),
}

/// A tool the model asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) call: String,
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calls {
    #[serde(default)]
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refusal {
    pub(super) error: String,
}

/// What the run is given.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) max_fuel: Option<u64>,
    pub(super) deadline_ms: Option<u64>,
}

/// What must hold; what is absent may be anything, the stop reason apart.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) text: Option<String>,
    #[serde(default)]
    pub(super) contains: Vec<String>,
    #[serde(default)]
    pub(super) lacks: Vec<String>,
    /// The tools it called, in order.
    pub(super) tools: Option<Vec<String>>,
    /// Titles among its sources.
    #[serde(default)]
    pub(super) cites: Vec<String>,
    /// `end_turn` where absent.
    pub(super) stop_reason: Option<String>,
    /// Words of the fault of a run that failed.
    pub(super) fault: Option<String>,
    /// What a guardrail component says: allow, rewrite or block.
    pub(super) verdict: Option<String>,
    pub(super) fuel_max: Option<i64>,
    pub(super) memory_bytes_max: Option<i64>,
    pub(super) tokens_max: Option<i64>,
}

/// The cases of a file, in its order; none where there is no file.
pub(super) fn read(file: &Path) -> Result<Option<Vec<Case>>, Failure> {
    let wrong = |what: String| Failure::new("bad_cases", format!("{}: {what}", file.display()));
    let size = match std::fs::metadata(file) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    if size > FILE_BYTES_MAX {
        return Err(wrong(format!("has {size} bytes, at most {FILE_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(format!("cannot be read as UTF-8 text: {error}")))?;
    parse(&text).map(Some).map_err(wrong)
}

fn parse(text: &str) -> Result<Vec<Case>, String> {
    let read: Result<File, _> = Figment::from(Toml::string(text)).extract();
    let cases = read.map_err(|error| error.to_string())?.cases;
    if cases.len() > CASES_MAX {
        return Err(format!("{} cases, at most {CASES_MAX}", cases.len()));
    }
    let mut names = BTreeSet::new();
    for case in &cases {
        let name = &case.name;
        if name.trim().is_empty() {
            return Err("a case has no name".to_owned());
        }
        if !names.insert(name) {
            return Err(format!("two cases are called `{name}`"));
        }
        match (&case.ask, &case.judge) {
            (Some(_), None) if case.expect.verdict.is_some() => {
                let what = "a verdict is of a guardrail: give it `judge` in place of `ask`";
                return Err(format!("case `{name}`: {what}"));
            }
            (None, Some(_)) if case.model.is_some() => {
                return Err(format!("case `{name}`: a guardrail asks no `model`"));
            }
            (Some(_), None) | (None, Some(_)) => {}
            _ => {
                let what = "say either what an agent is to `ask` or what a guardrail is to `judge`";
                return Err(format!("case `{name}`: {what}"));
            }
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::{Answer, Ask, parse};

    #[test]
    fn a_case_is_read_whole() {
        let text = r#"
            [[case]]
            name = "adds"
            ask = "1 + 2?"
            model = [
                { call = "add", arguments = { a = 1, b = 2 } },
                { text = "Again.", calls = [{ call = "add" }] },
                { error = "no more" },
                "Three.",
            ]
            limits.max_fuel = 1_000_000
            expect.text = "Three."
            expect.tools = ["add"]

            [[case]]
            name = "talks"
            ask = [{ role = "user", text = "hi" }]
        "#;
        let cases = parse(text).expect("it is well formed");
        assert!(matches!(cases[1].ask, Some(Ask::Messages(ref all)) if all.len() == 1));
        let model = cases[0].model.as_deref().expect("it has a script");
        let [
            Answer::Call(call),
            Answer::Calls(calls),
            Answer::Error(_),
            Answer::Text(_),
        ] = model
        else {
            panic!("{model:?}");
        };
        assert_eq!(
            (call.arguments["a"].as_i64(), calls.calls.len()),
            (Some(1), 1)
        );
        assert_eq!(cases[0].limits.max_fuel, Some(1_000_000));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, told) in [
            ("[[case]]\nask = \"x\"", "name"),
            ("[[case]]\nname = \"x\"", "either what an agent is to `ask`"),
            ("[[case]]\nname = \"x\"\nask = \"a\"\nmodle = []", "modle"),
            (
                "[[case]]\nname = \"x\"\nask = \"a\"\nmodel = [{ cal = \"t\" }]",
                "an answer of `model`",
            ),
            (
                "[[case]]\nname = \"x\"\nask = \"a\"\nexpect.verdict = \"allow\"",
                "`judge`",
            ),
            (
                "[[case]]\nname = \"x\"\njudge = \"a\"\nmodel = []",
                "asks no `model`",
            ),
            (
                "[[case]]\nname = \"x\"\nask = \"a\"\n[[case]]\nname = \"x\"\nask = \"a\"",
                "two cases",
            ),
            ("[[case]", "]]"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.contains(told), "{text}: {why}");
        }
    }
}
