//! Ten thousand alterations of an export, each found: edits, rows forged with a hash that fits them, deletions, moves,
//! repeats and cuts, from one seed.

use std::time::Duration;

use bulkhead::audit::verify::Outside;
use bulkhead::ledger::audit::chain::{GENESIS, Row};
use bulkhead_tests::TestHost;
use bulkhead_tests::chaos::chance::Chance;
use serde_json::Value;
use uuid::Uuid;

use super::export::{exported, kept, sign, sound};
use super::{append, entry, org};

const MUTATIONS: usize = 10_000;
const SEED: u64 = 0x6275_6c6b_6865_6164;

/// What was done to an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Edited,
    Forged,
    ForgedToTheEnd,
    Deleted,
    Moved,
    Repeated,
    Cut,
    TailTaken,
    Inserted,
}

const KINDS: [Kind; 9] = [
    Kind::Edited,
    Kind::Forged,
    Kind::ForgedToTheEnd,
    Kind::Deleted,
    Kind::Moved,
    Kind::Repeated,
    Kind::Cut,
    Kind::TailTaken,
    Kind::Inserted,
];

fn text(row: &Value, name: &str) -> Option<String> {
    match &row[name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        json => Some(json.to_string()),
    }
}

/// The hash a row has behind another, made from what the line says and nothing else.
pub(super) fn hash(org: Uuid, row: &Value, before: &[u8; 32]) -> [u8; 32] {
    let named = |name| text(row, name).unwrap();
    let changed: Vec<String> = serde_json::from_value(row["changed"].clone()).unwrap();
    let names = [
        "source",
        "actor",
        "actor_id",
        "action",
        "target",
        "target_id",
        "status",
    ];
    let [source, actor, actor_id, action, target, target_id, status] = names.map(named);
    let (code, request_id) = (text(row, "code"), text(row, "request_id"));
    let (ip, detail) = (text(row, "ip"), text(row, "detail"));
    Row {
        org,
        seq: row["seq"].as_i64().unwrap(),
        source: &source,
        at: row["at_us"].as_i64().unwrap(),
        actor: &actor,
        actor_id: &actor_id,
        action: &action,
        target: &target,
        target_id: &target_id,
        changed: &changed,
        status: &status,
        code: code.as_deref(),
        request_id: request_id.as_deref(),
        ip: ip.as_deref(),
        detail: detail.as_deref(),
    }
    .hash(before)
}

fn is_row(line: &str) -> bool {
    line.starts_with("{\"seq\":")
}

/// Rewrites a row, and as many behind it as asked, so that each fits the one before.
fn forge(lines: &mut [String], place: usize, (org, to_the_end): (Uuid, bool), chance: &mut Chance) {
    let mut before = GENESIS;
    for (at, line) in lines.iter_mut().enumerate() {
        if !is_row(line) {
            continue;
        }
        let mut row: Value = serde_json::from_str(line).unwrap();
        if at == place {
            let name = ["actor_id", "target_id", "action", "status", "ip"][chance.index(5)];
            row[name] = format!("forged {}", chance.next()).into();
        }
        if at == place || (to_the_end && at > place) {
            let forged = hex::encode(hash(org, &row, &before));
            let old = row["hash"].as_str().unwrap().to_owned();
            // The order of the fields is the host's.
            *line = match at == place {
                true => ordered(&row, &forged),
                false => line.replace(&old, &forged),
            };
            before = hash(org, &row, &before);
        } else {
            hex::decode_to_slice(row["hash"].as_str().unwrap(), &mut before).unwrap();
        }
    }
}

fn ordered(row: &Value, hash: &str) -> String {
    let names = [
        "seq",
        "source",
        "at_us",
        "actor",
        "actor_id",
        "action",
        "target",
        "target_id",
        "changed",
        "status",
        "code",
        "request_id",
        "ip",
        "detail",
    ];
    let fields: Vec<String> = names
        .iter()
        .map(|name| format!("\"{name}\":{}", row[name]))
        .collect();
    format!("{{{},\"hash\":\"{hash}\"}}", fields.join(","))
}

fn mutate(export: &str, kind: Kind, org: Uuid, chance: &mut Chance) -> String {
    let mut lines: Vec<String> = export.lines().map(str::to_owned).collect();
    let rows: Vec<usize> = (0..lines.len()).filter(|at| is_row(&lines[*at])).collect();
    let (place, row) = (chance.index(lines.len()), rows[chance.index(rows.len())]);
    match kind {
        Kind::Edited => {
            let at = chance.index(lines[place].len());
            let mut bytes = lines[place].clone().into_bytes();
            let old = bytes[at];
            while bytes[at] == old {
                bytes[at] = u8::try_from(chance.between(0x20, 0x7e)).unwrap();
            }
            lines[place] = String::from_utf8(bytes).unwrap();
        }
        Kind::Forged => forge(&mut lines, row, (org, false), chance),
        Kind::ForgedToTheEnd => forge(&mut lines, row, (org, true), chance),
        Kind::Deleted => _ = lines.remove(place),
        Kind::Moved => {
            let to = (place + 1 + chance.index(lines.len() - 1)) % lines.len();
            lines.swap(place, to);
        }
        Kind::Repeated => lines.insert(chance.index(lines.len() + 1), lines[place].clone()),
        Kind::Cut => return export[..chance.index(export.len())].to_owned(),
        Kind::TailTaken => {
            let end = lines.pop().unwrap();
            lines.truncate(1 + chance.index(lines.len() - 1));
            lines.push(end);
        }
        Kind::Inserted => {
            let at = chance.index(lines[place].len() + 1);
            lines[place].insert(at, [' ', '0', '"', '}', 'x'][chance.index(5)]);
        }
    }
    lines.join("\n") + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_alterations_are_all_found() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    for round in 0..3 {
        let now = host.clock().now();
        let entries: Vec<_> = (0..5)
            .map(|what| {
                let detail = serde_json::json!({ "round": round });
                entry(acme, now, what).changed(["a", "b"]).detail(&detail)
            })
            .collect();
        append(&host, &entries).await;
        sign(&host).await;
        host.clock().advance(Duration::from_secs(1));
    }
    append(&host, &[entry(acme, host.clock().now(), "unsigned")]).await;
    let export = exported(&client).await;
    assert!(
        export.is_ascii(),
        "an edit of one byte is one of a character"
    );
    for outside in [Outside::default(), kept(&host)] {
        let found = sound(&export, &outside).unwrap();
        assert_eq!((found.rows, found.inside), (18, 3));
    }
    let mut chance = Chance::new(SEED);
    let (mut missed, mut tried) = (Vec::new(), std::collections::BTreeMap::new());
    for round in 0..MUTATIONS {
        let kind = KINDS[round % KINDS.len()];
        let altered = mutate(&export, kind, acme.0, &mut chance);
        *tried.entry(kind).or_insert(0) += 1;
        // Found without anything from outside: the export's own signature is over all of it.
        if altered == export || sound(&altered, &Outside::default()).is_ok() {
            missed.push((round, kind));
        }
    }
    assert!(missed.is_empty(), "of {tried:?} not found: {missed:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_row_is_named() {
    let host = TestHost::start().await;
    let (acme, client) = (org(&host, "acme").await, host.client("acme").await);
    let now = host.clock().now();
    let entries: Vec<_> = (0..8)
        .map(|what| entry(acme, now, format!("thing-{what}")))
        .collect();
    append(&host, &entries).await;
    let export = exported(&client).await;
    // Rows 1 and 2 made the organization; the third line from the top is row 2.
    let edited = export.replace("thing-3", "thing-x");
    let refused = sound(&edited, &Outside::default()).unwrap_err();
    assert!(refused.contains("line 7: row 6 is not what"), "{refused}");
    let without: Vec<&str> = export
        .lines()
        .filter(|line| !line.contains("thing-3"))
        .collect();
    let refused = sound(&(without.join("\n") + "\n"), &Outside::default()).unwrap_err();
    assert!(
        refused.contains("row 7 stands where row 6 should"),
        "{refused}"
    );
    let cut = &export[..export.len() - 10];
    let refused = sound(cut, &Outside::default()).unwrap_err();
    assert!(refused.contains("cut off"), "{refused}");
    host.stop().await;
}
