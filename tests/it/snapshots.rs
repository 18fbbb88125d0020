//! What others build on, as files: a change of it is a change of a snapshot, seen and meant.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::tidy::{read, sources};

#[test]
fn the_description_of_the_api() {
    let openapi = bulkhead::server::openapi().to_pretty_json().unwrap();
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    insta::assert_snapshot!(openapi.replace(&version, "\"version\": \"[version]\""));
}

#[test]
fn the_contract_with_guests() {
    let mut contract = String::new();
    for path in sources("wit", "wit") {
        write!(contract, "// {path}\n\n{}\n", read(&path)).unwrap();
    }
    insta::assert_snapshot!(contract);
}

/// A code means the same for ever; two places never mean different things by one.
#[test]
fn the_error_codes() {
    let mut codes = BTreeMap::new();
    for path in sources("host/src", "rs") {
        for part in read(&path).split("Code::new(").skip(1) {
            let mut words = part.split('"');
            let (Some(""), Some(code), Some(status), Some(title)) = (
                words.next().map(str::trim),
                words.next(),
                words.next(),
                words.next(),
            ) else {
                continue;
            };
            let status: u16 = status
                .trim_matches(|c: char| !c.is_ascii_digit())
                .parse()
                .expect("a status follows");
            let before = codes.insert(code.to_owned(), (status, title.to_owned()));
            assert_eq!(
                before, None,
                "`{code}` is made twice; the second is in {path}"
            );
        }
    }
    let mut list = String::new();
    for (code, (status, title)) in codes {
        writeln!(list, "{status} {code}: {title}").unwrap();
    }
    insta::assert_snapshot!(list);
}
