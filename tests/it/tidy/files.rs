//! Sizes, headers, names, and words that have no place in a source.

use std::collections::BTreeMap;

use super::{code, none, read, rust, sources};

const BANNED_NAMES: [&str; 13] = [
    "manager",
    "service",
    "services",
    "helper",
    "helpers",
    "util",
    "utils",
    "common",
    "handler",
    "handlers",
    "repository",
    "processor",
    "info",
];

#[test]
fn every_file_says_what_it_owns() {
    let mut found = Vec::new();
    for path in rust() {
        let text = read(&path);
        let header = text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        // The SDK's headers are its documentation, with examples.
        let most = if path.starts_with("guest-sdk") {
            usize::MAX
        } else {
            6
        };
        if !(1..=most).contains(&header) {
            found.push(format!("{path}: {header} lines"));
        }
    }
    none("a file opens with 1 to 6 lines of `//!`", &found);
}

#[test]
fn files_and_folders_stay_small() {
    let mut found = Vec::new();
    let mut host = Vec::new();
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    for path in rust() {
        let lines = read(&path).lines().count();
        let most = if path.ends_with("/mod.rs") { 80 } else { 400 };
        if lines > most && !path.starts_with("tests/") {
            found.push(format!("{path}: {lines} lines, at most {most}"));
        }
        if path.starts_with("host/src") {
            host.push(lines);
        }
        let folder = path.rsplit_once('/').unwrap().0;
        if !folder.starts_with("tests/") {
            *folders.entry(folder.to_owned()).or_default() += 1;
        }
    }
    found.extend(
        folders
            .iter()
            .filter(|(_, files)| **files > 12)
            .map(|(folder, n)| format!("{folder}: {n} files")),
    );
    host.sort_unstable();
    let median = host[host.len() / 2];
    if median > 120 {
        found.push(format!(
            "the median of host/src is {median} lines, at most 120"
        ));
    }
    none("sources are small", &found);
}

#[test]
fn functions_stay_small() {
    let lints = read("Cargo.toml");
    assert!(
        lints.contains("too_many_lines = \"warn\"") && lints.contains("unwrap_used = \"warn\"")
    );
    let clippy = read("clippy.toml");
    assert!(
        clippy.contains("too-many-lines-threshold = 70")
            && clippy.contains("too-many-arguments-threshold = 5")
    );
    let mut found = Vec::new();
    for path in rust().iter().filter(|path| !path.starts_with("tests/it")) {
        let text = read(path);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let begin = line.trim_start();
            let is_function = ["fn ", "pub fn ", "async fn ", "pub async fn "]
                .iter()
                .any(|f| begin.starts_with(f))
                || (begin.starts_with("pub(") && begin.contains(" fn "));
            if !is_function {
                continue;
            }
            let end = format!("{}}}", &line[..line.len() - begin.len()]);
            let length = lines[at..].iter().take_while(|line| **line != end).count();
            let same_line = line.ends_with('}') || line.ends_with(';');
            if !same_line && at + length < lines.len() && length > 80 {
                found.push(format!("{path}:{}: {length} lines", at + 1));
            }
        }
        for lint in ["too_many_lines", "too_many_arguments"] {
            if text.contains(&format!("clippy::{lint}")) {
                found.push(format!("{path} waives clippy::{lint}"));
            }
        }
    }
    none("functions are small", &found);
}

#[test]
fn names_name_things() {
    let mut found = Vec::new();
    for path in rust() {
        let parts = path.trim_end_matches(".rs").split(['/', '_', '-']);
        if parts
            .clone()
            .any(|part| BANNED_NAMES.contains(&part) || part == "data")
        {
            found.push(path);
        }
    }
    none("a file is named for what it owns", &found);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        "TODO",
        "FIXME",
        "XXX",
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "#[ignore",
    ];
    let mut found = Vec::new();
    for path in rust()
        .iter()
        .filter(|path| !path.starts_with("tests/it/tidy"))
    {
        for (at, line) in read(path).lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                found.push(format!("{path}:{}: {word}", at + 1));
            }
        }
    }
    none("what is here is finished", &found);
}

#[test]
fn nothing_unwraps_outside_tests() {
    let mut found = Vec::new();
    for path in rust()
        .iter()
        .filter(|path| !path.starts_with("tests/it") && !path.contains("/tests/"))
    {
        for (at, line) in code(path).lines().enumerate() {
            if line.contains(".unwrap()") {
                found.push(format!("{path}:{}", at + 1));
            }
        }
    }
    none("`expect` says why it cannot fail", &found);
}

#[test]
fn statements_and_routes_stand_where_they_are_looked_for() {
    let mut found = Vec::new();
    for path in sources("host/src", "rs") {
        let text = code(&path);
        let is_store = path.ends_with("/store.rs") || path == "host/src/kit/db.rs";
        if text.contains("sqlx::query") && !is_store {
            found.push(format!(
                "{path} has a statement: it belongs into the room's store.rs"
            ));
        }
        if text.contains("routes!(") && !path.ends_with("/http.rs") && path != "host/src/server.rs"
        {
            found.push(format!(
                "{path} has a route: it belongs into the room's http.rs"
            ));
        }
        // A route outside the description; metrics are not a part of the API.
        if text.contains(".route(") && path != "host/src/host.rs" {
            found.push(format!("{path} has a route that no description lists"));
        }
        if text.contains("println!(") && !path.starts_with("host/src/cli/") {
            found.push(format!("{path} prints"));
        }
    }
    none(
        "statements in store.rs, routes in http.rs, words in cli/",
        &found,
    );
}
