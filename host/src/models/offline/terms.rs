//! Words made comparable: lower case, without the endings that only inflect, common words left out. Words of
//! everyday meaning that stand for one another are one term at a lower weight.

use std::collections::HashMap;
use std::sync::LazyLock;

/// Words that carry no subject.
const COMMON: &[&str] = &[
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be",
    "been", "but", "by", "can", "could", "did", "do", "doe", "does", "doing", "don", "for", "from",
    "get", "gets", "give", "had", "has", "have", "he", "hello", "help", "her", "here", "hey", "hi",
    "how", "i", "if", "in", "into", "is", "it", "its", "just", "know", "let", "like", "ll", "many",
    "may", "me", "mean", "might", "more", "much", "must", "my", "need", "no", "not", "of", "on",
    "one", "or", "our", "out", "please", "re", "s", "shall", "she", "should", "so", "some", "t",
    "tell", "than", "thank", "thanks", "that", "the", "their", "them", "then", "there", "these",
    "they", "thing", "this", "those", "to", "too", "up", "us", "ve", "very", "want", "was", "way",
    "we", "were", "what", "when", "where", "which", "while", "who", "why", "will", "with", "would",
    "you", "your",
];

/// Everyday words for the same doing or thing; a word is in one group only.
const ALIKE: &[&[&str]] = &[
    &[
        "stop",
        "cancel",
        "abort",
        "end",
        "halt",
        "kill",
        "quit",
        "terminate",
        "interrupt",
    ],
    &["delete", "remove", "drop", "erase", "forget", "revoke"],
    &["make", "create", "add", "new", "build"],
    &["start", "launch", "begin", "boot"],
    &["change", "edit", "update", "modify", "replace"],
    &["show", "list", "see", "view", "display", "print"],
    &["limit", "maximum", "max", "most", "cap", "bound", "quota"],
    &["install", "setup", "deploy", "ship", "publish", "upload"],
    &[
        "error", "fail", "failure", "problem", "fault", "wrong", "broken",
    ],
    &["cost", "price", "bill", "usage", "charge", "pay"],
    &["fast", "quick", "speed", "slow", "latency"],
    &["secret", "key", "password", "credential"],
    &["doc", "document", "page", "article", "manual", "handbook"],
    &["time", "long", "duration", "timeout", "deadline"],
    &["big", "large", "size"],
    &["find", "search", "look"],
    &["allow", "permit", "permission", "scope"],
    &["config", "configure", "setting", "option"],
];

/// The terms of a text, in order, repeats kept.
pub(super) fn terms(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .filter(|word| !COMMON.contains(&word.as_str()))
        .map(|word| stem(&word).to_owned())
        .collect()
}

/// Whether two different terms stand for one another in everyday speech.
pub(super) fn are_alike(one: &str, other: &str) -> bool {
    static GROUPS: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| {
        let groups = ALIKE.iter().enumerate();
        groups
            .flat_map(|(group, words)| words.iter().map(move |word| (stem(word), group)))
            .collect()
    });
    GROUPS
        .get(one)
        .is_some_and(|group| GROUPS.get(other) == Some(group))
}

/// The word without an inflecting ending: light, so that different words rarely meet.
fn stem(word: &str) -> &str {
    if word.len() < 3 || !word.is_ascii() || !word.bytes().any(|b| b.is_ascii_lowercase()) {
        return word;
    }
    let base = ENDINGS.iter().find_map(|&(ending, least)| {
        let base = word
            .strip_suffix(ending)
            .filter(|base| base.len() >= least)?;
        let is_root =
            (ending == "s" && base.ends_with('s')) || (ending == "ed" && base.ends_with('e'));
        (!is_root).then_some(base)
    });
    let base = match base {
        // running → run, cancelled → cancel; but passing → pass.
        Some(base) if base.len() > 3 && !base.ends_with(['s', 'z']) => {
            let last = &base[base.len() - 1..];
            base.strip_suffix(last)
                .filter(|one| one.ends_with(last))
                .unwrap_or(base)
        }
        Some(base) => base,
        None => word,
    };
    // policies and policy; states and state.
    let ends = base.ends_with(['i', 'y', 'e']) && base.len() > 2;
    if ends { &base[..base.len() - 1] } else { base }
}

/// Endings, longest first, and the least that must be left of the word.
const ENDINGS: &[(&str, usize)] = &[
    ("ations", 4),
    ("ation", 4),
    ("ings", 2),
    ("ing", 2),
    ("ers", 2),
    ("er", 2),
    ("ed", 2),
    ("es", 2),
    ("s", 2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflections_meet() {
        let same = [
            ["cancel", "cancels", "cancelled", "cancelling"],
            ["run", "runs", "running", "run"],
            ["stop", "stops", "stopped", "stopping"],
            ["deploy", "deploys", "deployed", "deploying"],
            ["policy", "policies", "policy", "policy"],
            ["limit", "limits", "limited", "limiting"],
            ["pass", "passes", "passed", "passing"],
            ["state", "states", "stated", "stating"],
            ["use", "uses", "used", "using"],
            ["key", "keys", "key", "key"],
            ["speed", "speeds", "speed", "speeds"],
            ["try", "tries", "tried", "try"],
            ["user", "users", "user", "users"],
            ["server", "servers", "serve", "serving"],
            ["upload", "uploads", "uploaded", "uploading"],
        ];
        for group in same {
            let stems: Vec<&str> = group.iter().map(|word| stem(word)).collect();
            assert!(
                stems.windows(2).all(|pair| pair[0] == pair[1]),
                "{group:?} → {stems:?}"
            );
        }
        assert_eq!(terms("How do I stop a run??"), ["stop", "run"]);
        assert!(are_alike(&terms("stopping")[0], &terms("Cancelled")[0]));
        let mut words: Vec<&str> = ALIKE
            .iter()
            .copied()
            .flatten()
            .map(|word| stem(word))
            .collect();
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all, "a word is in two groups");
    }
}
