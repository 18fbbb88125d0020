//! What is written for people agrees with what is there.

use std::collections::BTreeSet;

use super::{code, none, read, sources};

#[test]
fn every_metric_is_in_the_operator_s_page() {
    let page = read("docs/operating.md");
    let mut made = BTreeSet::new();
    for path in sources("host/src", "rs") {
        let text = code(&path);
        for kind in ["counter!(", "histogram!(", "gauge!("] {
            for part in text.split(kind).skip(1) {
                let name = part
                    .trim_start()
                    .strip_prefix('"')
                    .and_then(|part| part.split('"').next());
                made.insert(
                    name.unwrap_or_else(|| panic!("{path}: a metric is named where it is counted"))
                        .to_owned(),
                );
            }
        }
    }
    let listed = page
        .split('`')
        .filter(|word| word.starts_with("bulkhead_") && !word.contains(' '));
    let listed: BTreeSet<String> = listed.map(str::to_owned).collect();
    assert!(
        made.iter().all(|name| name.starts_with("bulkhead_")),
        "{made:?}"
    );
    assert_eq!(
        made, listed,
        "the metrics of the host, and those of docs/operating.md"
    );
}

#[test]
fn every_error_code_is_in_its_page() {
    let page = read("docs/errors.md");
    let mut found = Vec::new();
    for path in sources("host/src", "rs") {
        for part in code(&path).split("Code::new(").skip(1) {
            let Some(name) = part
                .trim_start()
                .strip_prefix('"')
                .and_then(|part| part.split('"').next())
            else {
                continue;
            };
            if !page.contains(&format!("`{name}`")) {
                found.push(format!("`{name}` of {path}"));
            }
        }
    }
    none("docs/errors.md does not explain", &found);
}

#[test]
fn every_promise_names_its_test() {
    let readme = read("README.md");
    let rows = readme
        .lines()
        .filter(|line| line.starts_with("| ") && line.ends_with(" |"));
    let mut found = Vec::new();
    let mut proofs = 0;
    for row in rows {
        for test in row.split('`').filter(|word| word.contains("::")) {
            proofs += 1;
            let (module, function) = test.rsplit_once("::").unwrap();
            let module = module.replace("::", "/");
            let places = [
                format!("tests/it/{module}.rs"),
                format!("tests/it/{module}/mod.rs"),
            ];
            let all = sources("tests/it", "rs");
            let is_there = all.iter().any(|path| {
                places.contains(path) && read(path).contains(&format!("fn {function}("))
            });
            if !is_there {
                found.push(test.to_owned());
            }
        }
    }
    assert!(proofs > 8, "the table is not where this test looks");
    none("promises of README.md that no test proves", &found);
}

/// A link to a page that is not there, or to a heading that is not in it.
#[test]
fn links_between_pages_lead_somewhere() {
    let pages: Vec<String> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
        .into_iter()
        .map(str::to_owned)
        .chain(sources("docs", "md"))
        .collect();
    let mut found = Vec::new();
    for page in &pages {
        for link in read(page)
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let target = link.split('#').next().unwrap();
            let folder = page.rsplit_once('/').map_or(".", |(folder, _)| folder);
            if !super::root().join(folder).join(target).exists() {
                found.push(format!("{page}: {link}"));
            }
        }
    }
    none("links", &found);
}
