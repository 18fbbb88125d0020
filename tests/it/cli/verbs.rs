//! The client's verbs against a host of the harness: what they print, Ctrl-C on a run, a broken connection, a text that
//! would drive a terminal.

use std::process::Stdio;

use bulkhead_tests::folder::Folder;
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::program::{Ended, command, ended, send};
use crate::guests::{CHATTER, ECHO, MUTTER, SPIN};

/// The program as this client.
pub(crate) fn as_client(client: &Client, url: &str, words: &[&str]) -> Command {
    let mut command = command(words);
    command
        .env("BULKHEAD_URL", url)
        .env("BULKHEAD_ORG", &client.org);
    command.env("BULKHEAD_API_KEY", &client.key);
    command
}

pub(crate) async fn document(host: &TestHost, client: &Client, words: &[&str]) -> Value {
    let words = [words, &["--output", "json"]].concat();
    let done = ended(as_client(client, &host.url(), &words)).await;
    assert_eq!(done.status, 0, "{words:?}: {done:?}");
    done.document()
}

fn lines(done: &Ended) -> Vec<Value> {
    done.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_deployed_and_rolled_back() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let folder = Folder::new();
    let wasm = folder.join("agent.wasm");
    let file = wasm.to_str().unwrap();

    std::fs::write(&wasm, ECHO.bytes()).unwrap();
    let first = document(&host, &client, &["deploy", "agent", file]).await;
    assert_eq!(
        (&first["number"], &first["created"], &first["stable"]),
        (&1.into(), &true.into(), &true.into())
    );
    let again = document(&host, &client, &["deploy", "agent", file]).await;
    assert_eq!(
        (&again["number"], &again["created"]),
        (&1.into(), &false.into())
    );
    std::fs::write(&wasm, SPIN.bytes()).unwrap();
    document(&host, &client, &["deploy", "agent", file]).await;
    let rolled_back = document(&host, &client, &["rollback", "agent"]).await;
    assert_eq!(rolled_back["stable"]["version"], 1);
    // Forward again: what it asks for is approved by name, and shown before.
    let label = ["versions", "label", "agent", "2", "spins"];
    assert_eq!(document(&host, &client, &label).await["label"], "spins");
    let diff = document(&host, &client, &["versions", "diff", "agent", "2"]).await;
    let asks = diff["more"].as_array().unwrap().iter();
    let mut promote = vec!["promote", "agent", "2", "--repin"];
    promote.extend(asks.flat_map(|more| ["--approve", more.as_str().unwrap()]));
    assert_eq!(
        document(&host, &client, &promote).await["stable"]["version"],
        2
    );
    let back = ["promote", "agent", "1"];
    let refused = ended(as_client(&client, &host.url(), &back)).await;
    let line = refused.refusal(1);
    assert!(
        line.contains("`import:output`") && line.contains("[capabilities_not_approved, request "),
        "{line}"
    );
    document(&host, &client, &["rollback", "agent"]).await;
    let canary = ["canary", "agent", "2", "--weight", "0.25"];
    assert_eq!(
        document(&host, &client, &canary).await["canary"]["weight"],
        0.25
    );
    assert_eq!(
        document(&host, &client, &["channels", "agent"]).await["canary"]["version"],
        2
    );
    let ended_it = document(&host, &client, &["rollback", "agent", "--canary"]).await;
    assert!(ended_it["canary"].is_null());
    let history = document(&host, &client, &["channels", "agent", "--history"]).await;
    assert_eq!(history["data"].as_array().unwrap().len(), 8);
    let versions = document(&host, &client, &["versions", "ls", "agent"]).await;
    assert_eq!(versions["data"].as_array().unwrap().len(), 2);
    let shown = document(&host, &client, &["versions", "show", "agent", "2"]).await;
    assert_eq!(shown["number"], 2);

    std::fs::write(&wasm, b"not a component").unwrap();
    let refused = ended(as_client(&client, &host.url(), &["deploy", "agent", file])).await;
    let line = refused.refusal(1);
    assert!(line.contains("[component_refused, request "), "{line}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_cannot_drive_the_terminal() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "echo", &ECHO).await;
    let hostile = "red \x1b[31m title \x1b]0;owned\x07 back\r over \u{202e}txt\u{9b}2J\nnext";
    let said = ended(as_client(&client, &host.url(), &["run", "echo", hostile])).await;
    assert_eq!(said.status, 0, "{said:?}");
    assert!(
        said.stdout.contains("red ") && said.stdout.contains("\nnext"),
        "{said:?}"
    );
    let drives = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(
        !said.stdout.contains(drives) && !said.stderr.contains(drives),
        "{said:?}"
    );

    let events = ended(as_client(
        &client,
        &host.url(),
        &["run", "echo", hostile, "--output", "json"],
    ))
    .await;
    assert!(!events.stdout.contains(drives), "{events:?}");
    let text: String = lines(&events)
        .iter()
        .filter_map(|event| event["data"]["text"].as_str())
        .collect();
    assert_eq!(text, hostile, "for programs the value is the same");
    host.stop().await;
}

/// Status, error and log as well, in a run under way and looked at later, for people and for programs.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_a_guest_says_drives_the_terminal() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "mutter", &MUTTER).await;
    let hostile =
        "red \x1b[31m title \x1b]0;owned\x07 back\r over \u{202e}txt\u{9b}2J\u{2066}\u{feff}\nnext";
    let events = client
        .run("mutter", &serde_json::json!({ "input": hostile }))
        .await;
    let run = events[0].data["run"].as_str().unwrap().to_owned();
    let drives = |c: char| {
        let turns = ['\u{202e}', '\u{2066}', '\u{feff}'];
        (c.is_control() && c != '\n') || turns.contains(&c)
    };
    for words in [
        &["run", "mutter", hostile] as &[&str],
        &["runs", "show", "mutter", &run],
        &["runs", "ls", "mutter"],
    ] {
        for format in [&[] as &[&str], &["--output", "json"]] {
            let words = [words, format].concat();
            let said = ended(as_client(&client, &host.url(), &words)).await;
            let all = said.stdout.clone() + &said.stderr;
            assert!(!all.contains(drives), "{words:?}: {said:?}");
            assert!(
                all.contains("guest_error") || all.contains("red "),
                "{said:?}"
            );
        }
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_cancels_and_prints_the_receipt() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "spin", &SPIN).await;
    for json in [true, false] {
        let words: &[&str] = if json {
            &["run", "spin", "go", "--output", "json"]
        } else {
            &["run", "spin", "go"]
        };
        let mut command = as_client(&client, &host.url(), words);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let (mut rest, mut notes) = (String::new(), String::new());
        // The first word of the run, wherever it goes.
        if json {
            stdout.read_line(&mut line).await.unwrap();
        } else {
            stderr.read_line(&mut line).await.unwrap();
        }
        assert!(line.contains("run_"), "{line}");
        eventually("it spins", async || host.host().app.scheduler.alive() == 1).await;
        send(child.id().unwrap(), Signal::SIGINT);
        stdout.read_to_string(&mut rest).await.unwrap();
        stderr.read_to_string(&mut notes).await.unwrap();
        assert_eq!(
            child.wait().await.unwrap().code(),
            Some(130),
            "{rest} {notes}"
        );
        if json {
            let done: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
            assert_eq!(
                (&done["kind"], &done["data"]["state"]),
                (&"done".into(), &"cancelled".into())
            );
            assert_eq!(done["data"]["receipt"]["where"], "guest");
        } else {
            assert!(
                notes.contains("cancelled (cancelled)") && notes.contains("where: guest"),
                "{notes}"
            );
        }
    }
    let runs = document(
        &host,
        &client,
        &["runs", "ls", "spin", "--state", "cancelled"],
    )
    .await;
    let run = runs["data"][0]["id"].as_str().unwrap().to_owned();
    let repeated = document(&host, &client, &["cancel", "spin", &run]).await;
    assert_eq!(repeated["state"], "cancelled");
    let events = document(&host, &client, &["runs", "show", "spin", &run, "--events"]).await;
    assert_eq!(events["data"].as_array().unwrap().len(), 2);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_has_its_own_exit_code() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "spin", &SPIN).await;
    let words = [
        "run",
        "spin",
        "go",
        "--max-fuel",
        "1000000",
        "--output",
        "json",
    ];
    let failed = ended(as_client(&client, &host.url(), &words)).await;
    let error: Value = serde_json::from_str(&failed.stderr).unwrap();
    assert_eq!(
        (failed.status, &error["error"]["code"]),
        (1, &"fuel".into()),
        "{failed:?}"
    );
    let empty = ended(as_client(&client, &host.url(), &["run", "spin", ""])).await;
    assert!(empty.refusal(1).contains("/input"), "{empty:?}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_taken_up_where_it_broke() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "chatter", &CHATTER).await;
    let upstream = host.host().address;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let proxy = async {
        // Each connection may bring so many bytes of the answer, then it breaks.
        for bytes in [700, 1_500, 2_500, u64::MAX] {
            let (near, _) = listener.accept().await.unwrap();
            relay(near, TcpStream::connect(upstream).await.unwrap(), bytes).await;
        }
    };
    let words = ["run", "chatter", "40 200", "--output", "json"];
    let (done, ()) = tokio::join!(ended(as_client(&client, &url, &words)), proxy);
    assert_eq!(done.status, 0, "{done:?}");
    let events = lines(&done);
    let seqs: Vec<_> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(
        seqs,
        (1..=events.len() as u64).collect::<Vec<_>>(),
        "no gap, nothing twice"
    );
    let text: String = events
        .iter()
        .filter_map(|event| event["data"]["text"].as_str())
        .collect();
    assert_eq!(text.len(), 40 * 200);
    host.stop().await;
}

/// Passes everything up, and so many bytes down.
async fn relay(near: TcpStream, far: TcpStream, bytes: u64) {
    let (mut near_in, mut near_out) = near.into_split();
    let (far_in, mut far_out) = far.into_split();
    let up = tokio::io::copy(&mut near_in, &mut far_out);
    let mut far_in = far_in.take(bytes);
    tokio::select! {
        _ = up => {}
        _ = tokio::io::copy(&mut far_in, &mut near_out) => {}
    }
    let _ = near_out.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn knowledge_is_added_searched_and_removed() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let folder = Folder::new();
    std::fs::write(
        folder.join("tea.md"),
        "# Tea\n\nSteep green tea for two minutes.\n",
    )
    .unwrap();
    std::fs::write(
        folder.join("bread.md"),
        "# Bread\n\nBake bread for forty minutes.\n",
    )
    .unwrap();
    let from = folder.to_str().unwrap();
    let add = ["knowledge", "add", from, "--tag", "kitchen"];
    let added = document(&host, &client, &add).await;
    assert_eq!(
        (&added["added"], &added["unchanged"]),
        (&2.into(), &0.into())
    );
    let again = document(&host, &client, &add).await;
    assert_eq!(
        (&again["added"], &again["unchanged"]),
        (&0.into(), &2.into())
    );
    let hits = document(
        &host,
        &client,
        &["knowledge", "search", "how long does tea steep?"],
    )
    .await;
    assert_eq!(hits["data"][0]["source"], "tea.md");
    let entry = hits["data"][0]["entry"].as_str().unwrap().to_owned();
    document(&host, &client, &["knowledge", "rm", &entry]).await;
    let left = document(&host, &client, &["knowledge", "ls", "--tag", "kitchen"]).await;
    assert_eq!(left["data"].as_array().unwrap().len(), 1);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_revoked() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let made = document(&host, &client, &["keys", "create", "ci", "--scope", "read"]).await;
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["secret"].as_str().unwrap(),
    );
    let listed = document(&host, &client, &["keys", "ls"]).await.to_string();
    assert!(listed.contains(id) && !listed.contains(secret));
    document(&host, &client, &["keys", "revoke", id]).await;
    let revoked = ended(as_client(
        &client.with_key(secret),
        &host.url(),
        &["keys", "ls"],
    ))
    .await;
    let line = revoked.refusal(1);
    assert!(
        line.contains("[revoked_key") && !line.contains(secret),
        "{line}"
    );

    // The operator, who holds the database.
    let mut operator = command(&["keys", "create", "--new-org", "other", "--output", "json"]);
    operator.env("DATABASE_URL", host.database_url());
    let made = ended(operator).await.document();
    assert_eq!(
        (&made["org"], &made["scopes"][0]),
        (&"other".into(), &"admin".into())
    );
    let mut again = command(&["keys", "create", "--new-org", "other"]);
    again.env("DATABASE_URL", host.database_url());
    assert!(ended(again).await.refusal(1).contains("exists already"));
    host.stop().await;
}

/// What could not be charged for is the operator's to settle.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_reported_is_listed_and_settled() {
    let (host, _stripe, row) = crate::billing::stripe::with_an_unknown().await;
    let operator = async |words: &[&str]| {
        let mut operator = command(words);
        operator.env("DATABASE_URL", host.database_url());
        ended(operator).await
    };
    let listed = operator(&["usage", "reconcile", "--output", "json"]).await;
    let listed = listed.document();
    assert_eq!(
        (&listed["data"][0]["id"], &listed["data"][0]["org"]),
        (&row.as_str().into(), &"acme".into())
    );
    let text = operator(&["usage", "reconcile"]).await.stdout;
    assert!(
        text.contains(&row) && text.contains("outcome_unknown"),
        "{text}"
    );
    let bad = operator(&["usage", "settle", "bill_1", "exported"]).await;
    assert!(bad.stderr.contains("expected `bill_`"), "{bad:?}");
    let settled = operator(&["usage", "settle", &row, "exported"]).await;
    assert_eq!(
        settled.stdout,
        format!("{row} counts as exported\n"),
        "{settled:?}"
    );
    let again = operator(&["usage", "settle", &row, "again"]).await;
    let line = again.refusal(1);
    assert!(line.contains("waits for nobody: it is exported"), "{line}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_shown_and_set() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "echo", &ECHO).await;
    let limit = |shown: &Value, name: &str| {
        let limit = &shown[name];
        (
            limit["value"].as_u64().unwrap(),
            limit["source"].as_str().unwrap().to_owned(),
        )
    };
    let org = |value| (value, "org".to_owned());
    let set = document(
        &host,
        &client,
        &["limits", "set", "fuel=2000000", "memory_bytes=32MiB"],
    )
    .await;
    assert_eq!(limit(&set, "fuel"), org(2_000_000));
    assert_eq!(limit(&set, "memory_bytes"), org(32 << 20));
    // What is not named stays.
    let set = document(&host, &client, &["limits", "set", "fuel=none", "handles=7"]).await;
    assert_eq!(limit(&set, "fuel").1, "host");
    assert_eq!(limit(&set, "memory_bytes"), org(32 << 20));
    let of_version = ["limits", "set", "memory_bytes=1MiB", "--agent", "echo"];
    let set = document(&host, &client, &of_version).await;
    assert_eq!(limit(&set, "memory_bytes"), (1 << 20, "version".to_owned()));
    let shown = document(
        &host,
        &client,
        &["limits", "show", "echo", "--version", "1"],
    )
    .await;
    assert_eq!(shown, set);
    assert_eq!(limit(&shown, "handles"), org(7));

    let run = async |words: &[&str]| ended(as_client(&client, &host.url(), words)).await;
    let table = run(&["limits", "show"]).await.stdout;
    let row = table
        .lines()
        .find(|line| line.starts_with("memory_bytes"))
        .unwrap();
    assert!(
        row.contains("32.0 MiB") && row.contains("org") && row.contains("64.0 MiB"),
        "{row}"
    );
    let refused = run(&["limits", "set", "fuel=5000000001"]).await;
    let refused = refused.refusal(1);
    assert!(
        refused.contains("[limit_refused") && refused.contains("5000000000"),
        "{refused}"
    );
    for wrong in ["fuel", "fuel=much", "memory_bytes=99999999999GiB"] {
        assert_eq!(run(&["limits", "set", wrong]).await.status, 2, "{wrong}");
    }
    assert_eq!(run(&["limits", "show", "--version", "1"]).await.status, 2);
    assert_eq!(
        document(&host, &client, &["limits", "show", "echo"]).await,
        shown
    );
    host.stop().await;
}
