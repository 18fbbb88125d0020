//! What was seen beside what was expected: a sentence for each thing that is not so, with both texts where they differ.

use super::ask::Seen;
use super::cases::Case;
use crate::runs::replay::diff;

/// Everything that is not as expected; empty where the case passed.
pub(super) fn missed(case: &Case, seen: &Seen) -> Vec<String> {
    let expect = &case.expect;
    let mut missed = Vec::new();
    if let Some(verdict) = &expect.verdict
        && seen.verdict != Some(verdict.as_str())
    {
        let said = seen.verdict.unwrap_or("nothing");
        missed.push(format!("its verdict is {said}, not {verdict}{}", why(seen)));
    }
    let stop_reason = expect.stop_reason.as_deref().unwrap_or("end_turn");
    if case.ask.is_some() && seen.stop_reason != stop_reason {
        let ended = &seen.stop_reason;
        missed.push(format!(
            "it ended as {ended}, not {stop_reason}{}",
            why(seen)
        ));
    }
    if let Some(words) = &expect.fault
        && !seen.fault.contains(words)
    {
        missed.push(format!("its fault lacks {words:?}{}", why(seen)));
    }
    text(case, seen, &mut missed);
    if let Some(tools) = &expect.tools
        && *tools != seen.tools
    {
        missed.push(format!("its tools\n{}", lines(tools, &seen.tools)));
    }
    for title in expect
        .cites
        .iter()
        .filter(|title| !seen.cites.contains(title))
    {
        let cited = named(&seen.cites);
        missed.push(format!("it does not cite {title:?}; it cites {cited}"));
    }
    if seen.unasked > 0 {
        let what = "of the case's `model` were not asked for";
        missed.push(format!("{} answers {what}", seen.unasked));
    }
    used(case, seen, &mut missed);
    missed
}

fn text(case: &Case, seen: &Seen, missed: &mut Vec<String>) {
    let expect = &case.expect;
    if let Some(text) = &expect.text
        && *text != seen.text
    {
        missed.push(format!("its text\n{}", diff(text, &seen.text)));
    }
    let said = || format!("it said {:?}", seen.text);
    for words in expect
        .contains
        .iter()
        .filter(|words| !seen.text.contains(*words))
    {
        missed.push(format!("its text lacks {words:?}; {}", said()));
    }
    for words in expect
        .lacks
        .iter()
        .filter(|words| seen.text.contains(*words))
    {
        missed.push(format!("its text has {words:?}; {}", said()));
    }
}

fn used(case: &Case, seen: &Seen, missed: &mut Vec<String>) {
    let Some(used) = seen.used else { return };
    for (what, used, most) in [
        ("fuel", used.fuel, case.expect.fuel_max),
        (
            "bytes of memory",
            used.memory_bytes,
            case.expect.memory_bytes_max,
        ),
        (
            "tokens",
            used.input_tokens + used.output_tokens,
            case.expect.tokens_max,
        ),
    ] {
        if let Some(most) = most.filter(|most| used > *most) {
            missed.push(format!("it used {used} {what}, more than {most}"));
        }
    }
}

fn why(seen: &Seen) -> String {
    match seen.fault.as_str() {
        "" => String::new(),
        fault => format!(": {fault}"),
    }
}

fn named(titles: &[String]) -> String {
    match titles {
        [] => "nothing".to_owned(),
        titles => format!("{titles:?}"),
    }
}

fn lines(expected: &[String], found: &[String]) -> String {
    diff(&expected.join("\n"), &found.join("\n"))
}
