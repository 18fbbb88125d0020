//! The few words of its own that the offline model says.

pub(super) const SIGNATURE: &str =
    "— Quoted by Bulkhead's built-in offline model: it picks sentences and writes none of its own.";
/// What of a question is repeated to the one who asked it.
const ECHO_CHARS_MAX: usize = 120;

pub(super) fn help(question: &str) -> Vec<String> {
    vec![
        format!("I read {}, but I cannot answer it: ", echo(question)),
        "I am Bulkhead's built-in offline model. ".to_owned(),
        "I only quote passages of knowledge that an agent gives me, and there are none here. "
            .to_owned(),
        "An agent that searches its knowledge gets quoted answers from me; for written ones, \
         connect a language model: `PUT /v1/orgs/{org}/model-connections/default`."
            .to_owned(),
    ]
}

/// The question in quotation marks, on one line, cut where it is long.
pub(super) fn echo(question: &str) -> String {
    let line = question.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "this".to_owned();
    }
    match line.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("“{}…”", &line[..end]),
        None => format!("“{line}”"),
    }
}
