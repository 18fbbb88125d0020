//! Who may import whom: the table of ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};

use super::{code, none, sources};

/// What knows no capability.
/// A room, and the rooms it may import besides itself and the kit. What is missing here may import nothing.
const ROOMS: [(&str, &[&str]); 13] = [
    ("ledger", &[]),
    ("identity", &["ledger"]),
    ("audit", &["identity", "ledger"]),
    ("billing", &["identity", "ledger"]),
    ("webhooks", &["identity", "ledger"]),
    ("invariants", &["ledger"]),
    ("limits", &["identity", "ledger", "sandbox"]),
    ("guardrails", &["identity", "ledger", "sandbox"]),
    (
        "conversations",
        &["identity", "ledger", "guardrails", "sandbox"],
    ),
    (
        "agents",
        &[
            "identity",
            "sandbox",
            "ledger",
            "billing",
            "limits",
            "guardrails",
            "conversations",
        ],
    ),
    (
        "models",
        &["identity", "ledger", "billing", "guardrails", "sandbox"],
    ),
    (
        "knowledge",
        &["identity", "ledger", "billing", "guardrails", "sandbox"],
    ),
    (
        "runs",
        &[
            "identity",
            "sandbox",
            "ledger",
            "billing",
            "limits",
            "guardrails",
            "conversations",
            "agents",
            "models",
            "knowledge",
        ],
    ),
];
/// Assembly: the only files that list all capabilities.
const ASSEMBLY: [&str; 8] = [
    "main", "lib", "app", "server", "worker", "host", "config", "cli",
];

#[test]
fn rooms_import_what_the_table_allows() {
    let mut found = Vec::new();
    for path in sources("host/src", "rs") {
        let room = room_of(&path);
        if ASSEMBLY.contains(&room.as_str()) {
            continue;
        }
        let mut allowed = BTreeSet::from([room.as_str(), "kit"]);
        if let Some((_, others)) = ROOMS.iter().find(|(name, _)| *name == room) {
            allowed.extend(*others);
        } else {
            assert!(
                ["kit", "sandbox", "postgres"].contains(&room.as_str()),
                "{path}: a room nobody knows"
            );
        }
        for target in imports(&code(&path)) {
            // `id!` is exported at the root; it is the kit's.
            if target != "id" && !allowed.contains(target.as_str()) {
                found.push(format!("{path}: {room} → {target}"));
            }
        }
    }
    none("an edge that is not in the table", &found);
}

#[test]
fn the_architecture_shows_this_table() {
    let page = super::read("ARCHITECTURE.md");
    for (room, others) in ROOMS {
        let row = page.lines().find_map(|line| {
            let (left, right) = line.split_once('→')?;
            (left.trim() == room).then(|| right.split_whitespace().collect::<BTreeSet<_>>())
        });
        let held = others.iter().copied().chain(["kit"]).collect();
        assert_eq!(row, Some(held), "{room}: ARCHITECTURE.md, and this file");
    }
}

#[test]
fn the_scanner_sees_every_form_of_import() {
    let text = "use crate::{\n  agents,\n  models::{self, chat},\n  runs as r,\n};\nfn f() { crate::billing::g(); $crate::kit::x() }\nuse crate::knowledge as k;";
    let seen: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(
        seen,
        ["agents", "billing", "kit", "knowledge", "models", "runs"]
    );
    assert_eq!(room_of("host/src/runs/log/event.rs"), "runs");
    assert_eq!(room_of("host/src/app.rs"), "app");
}

#[test]
fn the_contract_is_generated_in_one_place() {
    let places: Vec<String> = sources("host/src", "rs")
        .into_iter()
        .filter(|path| code(path).contains("bindgen!"))
        .collect();
    assert_eq!(places, ["host/src/sandbox/bindings.rs"]);
    let mut rooms: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    rooms.retain(|room, _| sources(&format!("host/src/{room}"), "rs").is_empty());
    assert!(
        rooms.is_empty(),
        "rooms of the table that are not there: {rooms:?}"
    );
}

fn room_of(path: &str) -> String {
    let inside = path.trim_start_matches("host/src/").trim_end_matches(".rs");
    inside.split('/').next().unwrap().to_owned()
}

/// The first names after `crate::`.
fn imports(text: &str) -> BTreeSet<String> {
    let name = |text: &str| {
        let end = text
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut found = BTreeSet::new();
    for part in text.split("crate::").skip(1) {
        let Some(group) = part.strip_prefix('{') else {
            found.insert(name(part));
            continue;
        };
        let (mut depth, mut first) = (1, true);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => first = depth == 1,
                c if first && c.is_alphabetic() => {
                    found.insert(name(&group[at..]));
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}
