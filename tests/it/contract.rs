//! The contract as a promise: every item of it says what it is and how much it may grow, a project gets the whole of it,
//! and what was built against its first release still runs.

use std::path::PathBuf;
use std::process::Command;

use bulkhead::sandbox::component::CONTRACT;
use bulkhead_tests::TestHost;
use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::folder::Folder;
use bulkhead_tests::guests::root;
use bulkhead_tests::host::program;
use bulkhead_tests::raw::{Import, Raw, assemble};
use serde_json::json;

use crate::guests;
use crate::tidy::{read, sources};

/// An item of the contract, and what is said of it.
#[derive(Debug)]
#[expect(dead_code, reason = "where it stands is printed")]
struct Item {
    place: String,
    code: String,
    says: String,
}

/// What needs no words of its own: parts of a world that have them elsewhere, and what closes something.
const PLAIN: [&str; 6] = ["package ", "import ", "use ", "include ", "}", "//"];

fn items() -> Vec<Item> {
    let mut items = Vec::new();
    for path in sources("wit", "wit") {
        let (text, mut says) = (read(&path), String::new());
        for (line, n) in text.lines().map(str::trim).zip(1..) {
            if let Some(words) = line.strip_prefix("///") {
                says.push_str(words);
            } else if line.is_empty() || PLAIN.iter().any(|plain| line.starts_with(plain)) {
                says.clear();
            } else {
                items.push(Item {
                    place: format!("{path}:{n}"),
                    code: line.to_owned(),
                    says: std::mem::take(&mut says),
                });
            }
        }
    }
    items
}

#[test]
fn every_item_is_documented() {
    let items = items();
    assert!(items.len() > 100, "only {} were found", items.len());
    let silent = items.iter().filter(|item| item.says.is_empty());
    let silent: Vec<_> = silent.collect();
    assert!(silent.is_empty(), "without a word: {silent:#?}");
    // What shares its line with another shares its words.
    let several = items.iter().filter(|item| {
        let inside = item.code.split_once(" { ").map_or("", |(_, inside)| inside);
        inside.contains(',')
    });
    let several: Vec<_> = several.collect();
    assert!(several.is_empty(), "several in a line: {several:#?}");
}

#[test]
fn everything_that_can_grow_has_a_bound() {
    let growing = |code: &str| {
        let is_declared = code.contains(": ") || code.contains('(');
        let types: Vec<&str> = code.split(|c: char| !c.is_alphanumeric()).collect();
        is_declared && (types.contains(&"string") || types.contains(&"list"))
    };
    let bounds = ["at most ", "1 to ", "{1,64}", "{0,62}", "{0,63}"];
    let items = items();
    let found = items.iter().filter(|item| growing(&item.code));
    assert!(found.clone().count() > 40, "the scanner sees what grows");
    let boundless = found.filter(|item| {
        let says = item.says.to_lowercase();
        !bounds.iter().any(|bound| says.contains(bound))
    });
    let boundless: Vec<_> = boundless.collect();
    assert!(boundless.is_empty(), "without a bound: {boundless:#?}");
}

#[test]
fn every_file_is_of_the_same_release() {
    for path in sources("wit", "wit") {
        let package = format!("package bulkhead:agent@{CONTRACT};");
        assert!(read(&path).contains(&package), "{path}");
    }
    let page = read("docs/the-contract.md");
    assert!(page.contains(&format!("`bulkhead:agent@{CONTRACT}`")));
    for path in sources("wit", "wit") {
        let interfaces = read(&path);
        let interfaces = interfaces.lines().filter_map(|line| {
            let name = line.strip_prefix("interface ")?;
            name.strip_suffix(" {")
        });
        for name in interfaces {
            assert!(page.contains(&format!("`{name}`")), "{name} has no row");
        }
    }
}

#[test]
fn a_project_has_the_contract_of_this_host() {
    let folder = Folder::new();
    let mut init = Command::new(program());
    let made = init
        .args(["init", "greeter"])
        .current_dir(&*folder)
        .output();
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut names = Vec::new();
    for path in sources("wit", "wit") {
        let name = path.trim_start_matches("wit/").to_owned();
        let written = folder.join("greeter/bulkhead/wit").join(&name);
        assert_eq!(
            std::fs::read_to_string(written).unwrap(),
            read(&path),
            "{name}"
        );
        names.push(name);
    }
    let mut there: Vec<String> = std::fs::read_dir(folder.join("greeter/bulkhead/wit"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, names, "all of it, and nothing else");
}

fn fixture() -> Vec<u8> {
    let path: PathBuf = root().join("tests/fixtures/contract-0.1.0/journey.wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_built_against_the_first_release_still_runs() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let entry = json!({ "source": "a", "title": "Teas", "content": "green tea is steeped" });
    let put = client.post("/knowledge/entries", &entry).await;
    assert_eq!(put.status, 201, "{}", put.text);
    let uploaded = client.upload("journey", &fixture()).await;
    assert_eq!(uploaded.status, 201, "{}", uploaded.text);
    let imports = uploaded.json()["imports"].to_string();
    assert!(imports.contains("bulkhead:agent/model@0.1.0"), "{imports}");
    client.deploy("journey", &fixture()).await;
    let told = "say one \nstatus at work\nsearch tea\ntool hammer\nsleep 5\nclock\ndice\nask what?\nsay last";
    let events = client.run("journey", &json!({ "input": told })).await;
    assert_eq!(stop_reason(&events), "end_turn");
    assert!(text(&events).starts_with("one [Teas]"), "{}", text(&events));
    assert!(text(&events).ends_with("last"));
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    for kind in ["status", "tool_call", "tool_result"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let run = events[0].data["run"].as_str().unwrap();
    crate::replay::is_the_same(&client, "journey", run).await;
    // The newer build of the same guest asks for what came with the later releases, and for nothing by another name.
    let newer = client.upload("journey", &guests::JOURNEY.bytes()).await;
    let number = newer.json()["number"].as_i64().unwrap();
    let path = format!("/agents/journey/versions/{number}/diff");
    let more = client.get(&path).await.json()["more"].clone();
    assert_eq!(more, json!(["import:memory", "import:settings"]));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_built_against_a_later_release_is_refused_by_name() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let raw = Raw {
        imports: &[Import::Clock],
        ..Raw::default()
    };
    for later in ["0.1.2", "0.2.0", "1.0.0"] {
        let clock = format!("clock@{later}");
        let bytes = assemble(&raw.text().replace("clock@0.1.0", &clock));
        let answer = client.upload("later", &bytes).await;
        assert_eq!(answer.refusal(), (422, "component_refused".to_owned()));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&clock), "{detail}");
        assert!(detail.contains(&format!("version {CONTRACT}")), "{detail}");
    }
    let bytes = assemble(&raw.text().replace("@0.1.0", &format!("@{CONTRACT}")));
    let answer = client.upload("later", &bytes).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    host.stop().await;
}
