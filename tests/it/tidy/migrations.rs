//! Migrations run on databases that are in use, under an older host that is still running.

use super::{none, read, sources};

#[test]
fn migrations_are_numbered_and_explain_themselves() {
    let mut found = Vec::new();
    let mut before = 0;
    for path in &sources("host/migrations", "sql") {
        let name = path.rsplit('/').next().unwrap();
        // Rooms are given numbers before they are written, and land in any order: a gap is one that is still to come.
        let number = name.split('_').next().filter(|digits| digits.len() == 4);
        let number: u32 = number.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if number <= before {
            found.push(format!(
                "{name} should have a number of its own, beyond {before:04}"
            ));
        }
        before = number;
        let text = read(path);
        if !text.starts_with("-- ") {
            found.push(format!("{name} does not say what it is"));
        }
        for line in text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("-- "))
        {
            if line.starts_with(|c: char| c.is_uppercase()) {
                found.push(format!("{name}: comments are lower-case prose: {line}"));
            }
        }
    }
    none("migrations", &found);
}

#[test]
fn every_constraint_has_a_name() {
    let mut found = Vec::new();
    for path in sources("host/migrations", "sql") {
        for statement in statements(&path) {
            let Some((_, body)) = statement
                .strip_prefix("create table ")
                .and_then(|rest| rest.split_once('('))
            else {
                continue;
            };
            for item in items(body) {
                let binds = [
                    " primary key",
                    " unique",
                    " check",
                    " references ",
                    "foreign key",
                    "exclude",
                ];
                let is_bound = binds.iter().any(|word| item.contains(word));
                if is_bound && !item.starts_with("constraint ") {
                    found.push(format!("{path}: {item}"));
                }
            }
        }
    }
    none(
        "a constraint without a name cannot be told from another",
        &found,
    );
}

#[test]
fn migrations_only_add() {
    let mut found = Vec::new();
    for path in sources("host/migrations", "sql") {
        for statement in statements(&path) {
            let adds = statement.contains(" add column ") && statement.contains(" not null");
            let breaks = (adds && !statement.contains(" default "))
                || statement.contains(" set not null")
                || statement.contains(" rename ")
                || (statement.contains("drop ") && !statement.contains("drop default"));
            if breaks {
                found.push(format!("{path}: {statement}"));
            }
        }
    }
    none(
        "the host before this one is still running while a migration does this",
        &found,
    );
}

#[test]
fn the_scanner_sees_what_it_should() {
    let body = "id uuid not null,\n constraint a check (x in (1, 2)),\n b int references c (d)\n)";
    assert_eq!(
        items(body),
        [
            "id uuid not null",
            "constraint a check (x in (1, 2))",
            "b int references c (d)"
        ]
    );
}

/// Statements without comments, in one line each.
fn statements(path: &str) -> Vec<String> {
    let text = read(path);
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or(line).trim())
        .collect();
    code.join(" ")
        .split(';')
        .map(|statement| statement.trim().to_lowercase())
        .collect()
}

/// The parts of a table's body between its outermost commas.
fn items(body: &str) -> Vec<String> {
    let (mut depth, mut items) = (0_i32, vec![String::new()]);
    for c in body.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
        match items.last_mut() {
            Some(_) if c == ',' && depth == 0 => items.push(String::new()),
            Some(item) => item.push(c),
            None => {}
        }
    }
    items
        .into_iter()
        .map(|item| item.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}
