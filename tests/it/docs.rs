//! The pages against the code: links lead somewhere, every code, limit, metric, event and stop reason has its row,
//! every promise its test, and the commands marked `sh test` work as they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead::config::Config;
use bulkhead_tests::folder::Folder;
use bulkhead_tests::{TestHost, guests};
use serde_json::Value;

/// What opens and closes a block of code.
const FENCE: &str = "```";

#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = read(&page);
        let folder = page.parent().expect("a page is in a folder");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = link.split('#').next().unwrap_or_default();
            let outside = link.starts_with("http") || path.is_empty();
            if !outside && !folder.join(path).exists() {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere: {dead:#?}");
}

#[test]
fn files_that_are_named_exist() {
    let sources = [
        root(),
        root().join("host/src"),
        root().join("host/src/runs"),
        root().join("host/src/runs/log"),
        root().join("host/src/runs/nodes"),
        root().join("guest-sdk/src"),
    ];
    let mut missing = Vec::new();
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = read(&root().join(page));
        for path in quoted(&text) {
            let path = path.split("::").next().unwrap_or_default();
            let is_file = [".rs", ".wit", ".md", ".toml"]
                .iter()
                .any(|end| path.ends_with(end));
            if is_file
                && !path.contains("NNNN")
                && !sources.iter().any(|source| source.join(path).exists())
            {
                missing.push(format!("{page}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "named, but not there: {missing:#?}");
}

#[test]
fn the_index_lists_every_page() {
    let index = read(&root().join("docs/README.md"));
    for page in markdown(&root().join("docs")) {
        let name = page
            .file_name()
            .and_then(|name| name.to_str())
            .expect("pages have plain names");
        let text = read(&page);
        assert!(text.starts_with("# "), "{name} begins with its title");
        assert!(
            name == "README.md" || index.contains(&format!("]({name})")),
            "docs/README.md lacks {name}"
        );
    }
}

#[test]
fn every_error_code_has_its_row() {
    let mut codes = BTreeMap::new();
    for source in rust(&root().join("host/src")) {
        let text = read(&source);
        for rest in text.split("Code::new(").skip(1) {
            let mut parts = rest.splitn(3, ',');
            let code = parts
                .next()
                .unwrap_or_default()
                .trim()
                .trim_matches('"')
                .to_owned();
            let status = parts.next().unwrap_or_default().trim().to_owned();
            codes.insert(code, status);
        }
    }
    let rows = table(&read(&root().join("docs/errors.md")), "Every error code");
    let listed: BTreeMap<String, String> = rows
        .into_iter()
        .map(|row| (bare(&row[0]), row[1].clone()))
        .collect();
    assert_eq!(listed, codes, "left: docs/errors.md, right: the code");
}

#[test]
fn every_failure_of_a_command_has_its_row() {
    let errors = read(&root().join("docs/errors.md"));
    let of_commands = table(&errors, "Errors of the command line");
    let of_the_api = table(&errors, "Every error code");
    let both = of_commands.iter().chain(&of_the_api);
    let listed: BTreeSet<String> = both.map(|row| bare(&row[0])).collect();
    let mut missing = BTreeSet::new();
    for source in rust(&root().join("host/src/cli")) {
        let text = read(&source);
        for made in ["Failure::new(", "Self::new("] {
            let codes = text.split(made).skip(1);
            let codes = codes.filter_map(|rest| rest.trim_start().strip_prefix('"'));
            missing.extend(codes.filter_map(|rest| rest.split('"').next().map(str::to_owned)));
        }
    }
    assert!(
        missing.len() > 10,
        "failures are not made where this test looks"
    );
    missing.retain(|code| !code.is_empty() && !listed.contains(code));
    assert!(missing.is_empty(), "docs/errors.md lacks {missing:?}");
}

#[test]
fn every_event_has_its_row() {
    let source = read(&root().join("host/src/runs/log/event.rs"));
    let kinds = between(&source, "pub fn kind(", "\n    }\n");
    let mut kinds: BTreeSet<String> = literals(kinds).collect();
    kinds.insert(bulkhead::runs::log::event::DONE.to_owned());
    let rows = table(&read(&root().join("docs/events.md")), "The event kinds");
    let listed: BTreeSet<String> = rows.iter().map(|row| bare(&row[0])).collect();
    assert_eq!(listed, kinds, "left: docs/events.md, right: the code");
}

#[test]
fn every_webhook_event_is_listed() {
    let page = read(&root().join("docs/webhooks.md"));
    let rows = table(&page, "Which events there are");
    let listed: BTreeSet<String> = rows.iter().map(|row| bare(&row[0])).collect();
    let topics = bulkhead::ledger::outbox::Topic::ALL;
    let sent = topics.iter().filter(|topic| !topic.is_reserved());
    let sent: BTreeSet<String> = sent.map(|topic| topic.name().to_owned()).collect();
    assert_eq!(listed, sent, "left: docs/webhooks.md, right: the catalogue");
    for topic in topics {
        assert!(page.contains(&format!("`{}`", topic.name())), "{topic:?}");
    }
}

#[test]
fn every_stop_reason_has_its_row() {
    let source = read(&root().join("host/src/runs/life/finish.rs"));
    let verdicts = between(&source, "impl Verdict {", "\n/// What the run used.");
    let is_reason = |word: &String| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let mut reasons: BTreeSet<String> = literals(verdicts).filter(is_reason).collect();
    // States, where they are no reason as well.
    reasons.remove("completed");
    reasons.remove("failed");
    let caps = bulkhead::billing::tiers::Dimension::ALL;
    reasons.extend(caps.map(|dimension| dimension.stop_reason().to_owned()));
    let rows = table(
        &read(&root().join("docs/runs-and-states.md")),
        "Why a run ended",
    );
    let listed: BTreeSet<String> = rows.iter().map(|row| bare(&row[0])).collect();
    assert_eq!(
        listed, reasons,
        "left: docs/runs-and-states.md, right: the code"
    );
}

#[test]
fn every_metric_has_its_row() {
    let mut metrics = BTreeSet::new();
    for source in rust(&root().join("host/src")) {
        let text = read(&source);
        for call in ["counter!(", "histogram!(", "gauge!("] {
            metrics.extend(
                text.split(call)
                    .skip(1)
                    .filter_map(|rest| literals(rest).next()),
            );
        }
    }
    let rows = table(
        &read(&root().join("docs/operating.md")),
        "Which metrics are exported",
    );
    let listed: BTreeSet<String> = rows.iter().map(|row| bare(&row[0])).collect();
    assert_eq!(listed, metrics, "left: docs/operating.md, right: the code");
    // `/metrics` says the same beside each.
    let told: Vec<(String, String)> = rows
        .iter()
        .map(|row| (bare(&row[0]), row[1].trim().to_owned()))
        .collect();
    let described: Vec<(String, String)> = bulkhead::kit::metrics::METRICS
        .iter()
        .map(|(_, name, help)| ((*name).to_owned(), (*help).to_owned()))
        .collect();
    assert_eq!(told, described, "left: docs/operating.md, right: the code");
}

#[test]
fn every_limit_has_its_row_with_its_default() {
    let config = serde_json::to_value(Config::default()).expect("configuration is plain data");
    let mut leaves = Vec::new();
    flatten("", &config, &mut leaves);
    let rows = limit_rows();
    let mut wrong = Vec::new();
    for (key, value) in &leaves {
        let Some(row) = rows.get(key) else {
            wrong.push(format!("{key} stands nowhere"));
            continue;
        };
        let Some(number) = value.as_u64().filter(|number| *number > 0) else {
            continue;
        };
        if !spellings(number)
            .iter()
            .any(|spelling| row.contains(spelling))
        {
            wrong.push(format!(
                "{key} is {number}, which its row does not say: {row}"
            ));
        }
    }
    let known: BTreeSet<&String> = leaves.iter().map(|(key, _)| key).collect();
    wrong.extend(
        rows.keys()
            .filter(|key| !known.contains(key))
            .map(|key| format!("{key} is no setting")),
    );
    assert!(
        wrong.is_empty(),
        "docs/limits.md and docs/operating.md against the code: {wrong:#?}"
    );
}

#[test]
fn every_promise_has_its_test() {
    let readme = table(&read(&root().join("README.md")), "The promises");
    assert!(
        readme.len() > 10,
        "the table of promises is not where it was"
    );
    proven("README.md", readme.iter().map(|row| row[1].as_str()));
}

#[test]
fn every_row_of_the_specification_has_its_test_or_says_so() {
    let text = read(&root().join("SPECIFICATION.md"));
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<Vec<&str>> = rows
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .filter(|row: &Vec<&str>| row[0] != "promise")
        .collect();
    assert!(rows.len() > 30, "the tables are not where they were");
    for row in &rows {
        assert_eq!(row.len(), 4, "promise, figure, test, measured: {row:?}");
        assert!(
            row[2].contains('`') || row[2] == "test pending" || row[2].starts_with("bench"),
            "{row:?} has neither test nor bench and does not say so"
        );
    }
    let tests = rows.iter().filter(|row| !row[2].starts_with("bench"));
    proven("SPECIFICATION.md", tests.map(|row| row[2]));
}

/// Every test named in these cells is there.
fn proven<'a>(page: &str, cells: impl Iterator<Item = &'a str>) {
    for cell in cells {
        for name in quoted(cell) {
            let (module, test) = name
                .rsplit_once("::")
                .unwrap_or_else(|| panic!("`{name}` is no module::test"));
            let module = root().join("tests/it").join(module.replace("::", "/"));
            let files = [module.with_extension("rs"), module.join("mod.rs")];
            let found = files
                .iter()
                .filter_map(|file| std::fs::read_to_string(file).ok());
            // A test for each fault is made by a macro.
            let names = [format!("fn {test}("), format!("    {test}: \"")];
            let mut found = found.filter(|text| names.iter().any(|name| text.contains(name)));
            assert!(
                found.next().is_some(),
                "{page} promises `{name}`, which is not there"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_as_they_stand() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("support", &guests::template("support")).await;
    for page in markdown(&root().join("docs")) {
        let entry = serde_json::json!({ "source": page.file_name().map(|n| n.to_string_lossy()), "content": read(&page) });
        let put = client.post("/knowledge/entries", &entry).await;
        assert_eq!(put.status, 201, "{}: {}", page.display(), put.text);
    }
    let programs = Folder::new();
    symlink(bulkhead_tests::host::program(), programs.join("bulkhead"))
        .expect("the folder is empty");
    let mut pages_run = 0;
    for page in markdown(&root().join("docs")) {
        let Some(script) = script(&read(&page)) else {
            continue;
        };
        let environment = [
            ("BULKHEAD_URL", host.url()),
            ("BULKHEAD_ORG", client.org.clone()),
        ];
        let mut shell = Command::new("bash");
        shell
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(root())
            .envs(environment);
        shell
            .env("BULKHEAD_API_KEY", &client.key)
            .env("DATABASE_URL", host.database_url())
            .env("PATH", path_with(&programs));
        let ran = tokio::task::spawn_blocking(move || shell.output()).await;
        let ran = ran.expect("nothing panics there").expect("bash is there");
        let (said, complained) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(
            ran.status.success(),
            "{} does not work:\n{script}\n{said}\n{complained}",
            page.display()
        );
        pages_run += 1;
    }
    assert!(
        pages_run >= 7,
        "only {pages_run} pages have commands that were run"
    );
    host.stop().await;
}

/// The blocks of a page that are marked to be run, as one script.
fn script(page: &str) -> Option<String> {
    let open = format!("{FENCE}sh test\n");
    let blocks: Vec<&str> = page
        .split(&open)
        .skip(1)
        .filter_map(|rest| rest.split(FENCE).next())
        .collect();
    (!blocks.is_empty()).then(|| blocks.concat())
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a person's shell would have"
)]
fn path_with(folder: &Path) -> std::ffi::OsString {
    let mut folders = vec![folder.to_path_buf()];
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    std::env::join_paths(folders).expect("folders of PATH can be joined")
}

/// Every key of `limits.md` and of the settings table of `operating.md`, whole, with the row it stands in.
fn limit_rows() -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for section in read(&root().join("docs/limits.md")).split("\n## ").skip(1) {
        let prefix = section
            .split("keys stand under `")
            .nth(1)
            .and_then(|rest| rest.split('`').next());
        for row in section.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = row.split('|').collect();
            for key in quoted(cells.get(2).copied().unwrap_or_default()) {
                rows.insert(whole(prefix, key), row.to_owned());
            }
        }
        // A switch has no row but a sentence that begins with it.
        let switches = section.lines().filter(|line| line.starts_with('`'));
        for line in switches.filter(|line| !line.starts_with(FENCE)) {
            if let Some(key) = quoted(line).next() {
                rows.insert(whole(prefix, key), line.to_owned());
            }
        }
    }
    for row in table(
        &read(&root().join("docs/operating.md")),
        "How to configure a host",
    ) {
        rows.entry(bare(&row[0])).or_insert_with(|| row.join(" | "));
    }
    rows
}

/// A key that names its room stands for itself, whatever the section.
fn whole(prefix: Option<&str>, key: &str) -> String {
    let rooms = [
        "agents.",
        "runs.",
        "models.",
        "knowledge.",
        "sandbox.",
        "guardrails.",
    ];
    match prefix {
        Some(prefix) if !rooms.iter().any(|room| key.starts_with(room)) => {
            format!("{prefix}.{key}")
        }
        _ => key.to_owned(),
    }
}

fn flatten(path: &str, value: &Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, leaves);
            }
        }
        leaf => leaves.push((path.to_owned(), leaf.clone())),
    }
}

/// How a number may be written: with commas, or in the largest unit that fits it.
fn spellings(number: u64) -> Vec<String> {
    let digits = number.to_string();
    let mut commas = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            commas.push(',');
        }
        commas.push(digit);
    }
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units
        .iter()
        .find(|(_, bits)| number.is_multiple_of(1 << bits));
    let mut spellings = vec![format!(" {commas} "), format!(" {commas},")];
    spellings.extend(unit.map(|(name, bits)| format!(" {} {name}", number >> bits)));
    spellings
}

/// The rows of the first table under a heading, without its head.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page
        .split_once(&format!("## {heading}"))
        .unwrap_or_else(|| panic!("no heading `{heading}`"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    rows.skip(2)
        .map(|row| {
            row.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

fn bare(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What stands in double quotes.
fn literals(code: &str) -> impl Iterator<Item = String> + '_ {
    code.split('"').skip(1).step_by(2).map(str::to_owned)
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text
        .split_once(from)
        .unwrap_or_else(|| panic!("the code has no `{from}`"));
    rest.split_once(to)
        .unwrap_or_else(|| panic!("the code has no `{to}` after `{from}`"))
        .0
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]
        .iter()
        .map(|page| root().join(page))
        .collect();
    pages.extend(markdown(&root().join("docs")));
    pages.extend(
        [
            "support",
            "chat",
            "tools",
            "guardrail",
            "js-chat",
            "py-chat",
        ]
        .iter()
        .map(|template| root().join("templates").join(template).join("README.md")),
    );
    pages
}

fn markdown(folder: &Path) -> Vec<PathBuf> {
    files(folder, "md")
}

fn rust(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository is there")
}
