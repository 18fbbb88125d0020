//! What authors meet: every public type and function of the SDK shows itself in an example that runs, and every sentence
//! its attributes can say stands in a compile-fail test, beside the place it points at.

use super::{code, none, read, sources};

#[test]
fn every_public_type_and_function_has_an_example() {
    let (mut seen, mut without) = (0, Vec::new());
    for path in sources("guest-sdk/src", "rs") {
        // What is generated is no API.
        if path.ends_with("/bindings.rs") {
            continue;
        }
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let kinds = [
                "struct ",
                "enum ",
                "trait ",
                "type ",
                "fn ",
                "const fn ",
                "use bulkhead_sdk_macros::",
            ];
            let Some(item) = line.strip_prefix("pub ") else {
                continue;
            };
            if !kinds.iter().any(|kind| item.starts_with(kind)) {
                continue;
            }
            let above = lines[..at].iter().rev();
            let above: Vec<_> = above
                .take_while(|line| !line.is_empty() && !line.starts_with(['}', 'p']))
                .collect();
            if above.contains(&&"#[doc(hidden)]") {
                continue;
            }
            seen += 1;
            if !above.iter().any(|line| line.starts_with("/// ```")) {
                without.push(format!("{path}:{}: {line}", at + 1));
            }
        }
    }
    assert!(seen > 50, "only {seen} public items were found");
    none("a public item of the SDK has an example", &without);
}

#[test]
fn the_smallest_agent_has_at_most_ten_lines() {
    let lines = read("guest-sdk/examples/hello.rs").lines().count();
    assert!(lines <= 10, "{lines} lines");
}

/// The compiler asks for the words, and `cargo test` runs the examples.
#[test]
fn the_sdk_is_documented_by_law() {
    assert!(read("guest-sdk/src/lib.rs").contains("\n#![deny(missing_docs)]\n"));
    assert!(!read("guest-sdk/Cargo.toml").contains("doctest = false"));
    assert!(read(".ci/run").contains("\ncargo test --workspace --locked\n"));
}

#[test]
fn every_sentence_of_an_attribute_is_in_a_compile_fail_test() {
    let said: String = sources("guest-sdk/tests/refused", "stderr")
        .iter()
        .map(|path| read(path))
        .collect();
    let (mut sentences, mut missing) = (0, Vec::new());
    for path in sources("guest-sdk/macros/src", "rs") {
        for sentence in literals(&code(&path)) {
            // What is filled in is not looked for; the longest part around it is.
            let parts = sentence.split(['{', '}']);
            let part = parts.max_by_key(|part| part.len()).unwrap_or_default();
            if part.len() < 12 || !part.contains(' ') {
                continue;
            }
            sentences += 1;
            if !said.contains(part) {
                missing.push(format!("{path}: {sentence}"));
            }
        }
    }
    assert!(sentences > 25, "only {sentences} sentences were found");
    none(
        "a sentence of an attribute is in guest-sdk/tests/refused",
        &missing,
    );
}

/// The texts in double quotes, but for the reasons of waived lints.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once('"') {
        let is_reason = before.ends_with("reason = ");
        let mut text = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => text.extend(characters.next().map(|(_, character)| character)),
                _ => text.push(character),
            }
        }
        if !is_reason {
            found.push(text);
        }
        rest = &after[end..];
    }
    found
}
