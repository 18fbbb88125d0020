//! From the strings of a manifest to rules. Called at deploy, by `dev`, by the dry run and by whoever reads a version
//! back. Every string that cannot be understood is named with its index, its words and what to write instead.

use super::{Declared, Kind, Per, Rule, Rules};
use crate::identity::organizations::is_name;

const STRINGS_MAX: usize = 64;
const STRING_BYTES_MAX: usize = 1_024;
const LIST_MAX: usize = 64;
const TOPIC_CHARS_MAX: usize = 500;
/// Of a refused string, what is shown again.
const SHOWN_CHARS: usize = 200;

/// Why a string is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub index: usize,
    pub value: String,
    pub reason: String,
    /// No kind of guardrail has the name; `dev` only warns of it.
    pub unknown: bool,
}

/// All rules, and all refusals; a string is in one of them.
pub fn parse<T: AsRef<str>>(strings: &[T]) -> (Rules, Vec<Refused>) {
    let mut declared: Vec<Declared> = Vec::new();
    let mut refused = Vec::new();
    for (index, text) in strings.iter().enumerate().take(STRINGS_MAX + 1) {
        let text = text.as_ref();
        let rule = match one(text) {
            _ if index >= STRINGS_MAX => Err(wrong(format!(
                "a version declares at most {STRINGS_MAX} guardrails"
            ))),
            Ok(rule) => match declared.iter().find(|other| other.rule.repeats(&rule)) {
                Some(other) => Err(wrong(format!(
                    "`{}` is declared already: keep one of them",
                    shown(&other.text)
                ))),
                None => Ok(rule),
            },
            refused => refused,
        };
        match rule {
            Ok(rule) => declared.push(Declared {
                text: text.to_owned(),
                rule,
            }),
            Err(Wrong { reason, unknown }) => refused.push(Refused {
                index,
                value: shown(text),
                reason,
                unknown,
            }),
        }
    }
    (Rules::new(declared), refused)
}

struct Wrong {
    reason: String,
    unknown: bool,
}

fn wrong(reason: impl Into<String>) -> Wrong {
    Wrong {
        reason: reason.into(),
        unknown: false,
    }
}

fn shown(text: &str) -> String {
    // PostgreSQL and terminals are spared what they cannot show.
    let kept = text.chars().take(SHOWN_CHARS);
    kept.map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn one(text: &str) -> Result<Rule, Wrong> {
    if text.len() > STRING_BYTES_MAX {
        let reason = format!("a guardrail has at most {STRING_BYTES_MAX} bytes");
        return Err(wrong(reason));
    }
    if text.chars().any(char::is_control) {
        return Err(wrong("a guardrail has no control characters"));
    }
    if let Some(rate) = text.strip_prefix("rate:") {
        return self::rate(rate);
    }
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let Some(kind) = Kind::named(name) else {
        return Err(unknown(name));
    };
    let needed = || {
        let form = form(kind);
        value.ok_or_else(|| wrong(format!("it needs a value: write `{form}`")))
    };
    Ok(match kind {
        Kind::Rate => return Err(wrong(format!("write `{}`", form(kind)))),
        Kind::InputMaxChars => Rule::InputMaxChars(number(needed()?, 1)?),
        Kind::MaxTokens => Rule::MaxTokens(number(needed()?, 1)?),
        Kind::MaxToolCalls => Rule::MaxToolCalls(number(needed()?, 0)?),
        Kind::MaxIterations => Rule::MaxIterations(number(needed()?, 1)?),
        Kind::ToolAllowlist => {
            let what = "a tool's name: 1 to 64 of a-z, A-Z, 0-9, `_`, `-`";
            Rule::ToolAllowlist(list(needed()?, is_tool_name, what)?)
        }
        Kind::EgressAllowlist => {
            let what =
                "a host's name in small letters, such as `api.example.com` or `*.example.com`";
            Rule::EgressAllowlist(list(needed()?, is_host, what)?)
        }
        Kind::RequireCitation => match value {
            None => Rule::RequireCitation,
            Some(_) => return Err(wrong("it takes no value: write `require_citation`")),
        },
        Kind::Pii | Kind::Secrets => pii(value)?,
        Kind::Topic => topic(needed()?)?,
        Kind::Component => component(needed()?)?,
    })
}

/// How a kind is written.
fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Rate => "rate:<n>/(sec|min|hour|day)",
        Kind::InputMaxChars => "input_max_chars=<n>",
        Kind::MaxTokens => "max_tokens=<n>",
        Kind::MaxToolCalls => "max_tool_calls=<n>",
        Kind::MaxIterations => "max_iterations=<n>",
        Kind::ToolAllowlist => "require_tool_allowlist=<tool>,<tool>",
        Kind::EgressAllowlist => "egress_allowlist=<host>,<host>",
        Kind::RequireCitation => "require_citation",
        Kind::Pii | Kind::Secrets => "pii.redact or pii.redact=input,output",
        Kind::Topic => "topic=<description>",
        Kind::Component => "component=<name>",
    }
}

fn unknown(name: &str) -> Wrong {
    if name == Kind::Secrets.name() {
        return wrong("it is always on and is not declared: leave it out");
    }
    let known: Vec<&str> = Kind::DECLARED.into_iter().map(Kind::name).collect();
    Wrong {
        reason: format!("no guardrail has this name; there is {}", known.join(", ")),
        unknown: true,
    }
}

fn number(text: &str, least: u32) -> Result<u32, Wrong> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse::<u32>().ok()).flatten();
    number.filter(|n| *n >= least).ok_or_else(|| {
        let most = u32::MAX;
        wrong(format!(
            "the value must be a whole number, {least} to {most}"
        ))
    })
}

fn rate(text: &str) -> Result<Rule, Wrong> {
    let form = form(Kind::Rate);
    let Some((most, unit)) = text.split_once('/') else {
        return Err(wrong(format!("write `{form}`")));
    };
    let mut units = Per::ALL.into_iter();
    let per = units
        .find(|per| per.name() == unit)
        .ok_or_else(|| wrong(format!("the unit must be sec, min, hour or day: `{form}`")))?;
    let most = number(most, 1)?;
    Ok(Rule::Rate { most, per })
}

fn list(text: &str, fits: fn(&str) -> bool, what: &str) -> Result<Vec<String>, Wrong> {
    let mut items: Vec<String> = Vec::new();
    for item in text.split(',') {
        if !fits(item) {
            return Err(wrong(format!("`{}` is not {what}", shown(item))));
        }
        if items.iter().any(|other| other == item) {
            return Err(wrong(format!("`{item}` stands in it twice")));
        }
        items.push(item.to_owned());
    }
    if items.len() > LIST_MAX {
        return Err(wrong(format!("a list has at most {LIST_MAX} entries")));
    }
    Ok(items)
}

fn is_tool_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(fits)
}

fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let label = |label: &str| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.contains('.') && host.split('.').all(label)
}

fn pii(value: Option<&str>) -> Result<Rule, Wrong> {
    let (mut input, mut output) = (false, value.is_none());
    for side in value.into_iter().flat_map(|value| value.split(',')) {
        let seen = match side {
            "input" => &mut input,
            "output" => &mut output,
            _ => {
                return Err(wrong(
                    "the value must be input, output or both: `pii.redact=input,output`",
                ));
            }
        };
        if std::mem::replace(seen, true) {
            return Err(wrong(format!("`{side}` stands in it twice")));
        }
    }
    Ok(Rule::Pii { input, output })
}

fn topic(text: &str) -> Result<Rule, Wrong> {
    let chars = text.trim().chars().count();
    if !(1..=TOPIC_CHARS_MAX).contains(&chars) {
        let reason = format!("describe the topic in 1 to {TOPIC_CHARS_MAX} characters");
        return Err(wrong(reason));
    }
    Ok(Rule::Topic(text.trim().to_owned()))
}

fn component(name: &str) -> Result<Rule, Wrong> {
    if !is_name(name) {
        let what = "a-z, 0-9 and `-`, a letter first, at most 63";
        return Err(wrong(format!("name a guardrail component: {what}")));
    }
    Ok(Rule::Component(name.to_owned()))
}
