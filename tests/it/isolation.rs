//! What a guest cannot see, keep or break: time, chance and surroundings are the host's, a neighbour and a next tenant
//! notice nothing, and what a guest says is text wherever it ends up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::raw::{Import, Raw};
use futures_util::future::join_all;
use serde_json::json;

use crate::guests;
use crate::limits::{deploy, ends};

mod alone;

#[tokio::test(flavor = "multi_thread")]
async fn clocks_stand_still_between_answers() {
    let host = TestHost::start().await;
    host.deploy("acme", "clocks", &guests::CLOCKS).await;
    let client = host.client("acme").await;
    // The host's clock goes on all the while.
    let over = Arc::new(AtomicBool::new(false));
    let (clock, done) = (host.clock().clone(), Arc::clone(&over));
    let ticking = std::thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            clock.advance(Duration::from_millis(7));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let events = client.run("clocks", &json!({ "input": "x" })).await;
    over.store(true, Ordering::Relaxed);
    ticking.join().expect("it only ticks");
    let told = text(&events);
    let lines: Vec<Vec<u64>> = told
        .lines()
        .map(|line| {
            line.split(' ')
                .map(|n| n.parse().expect("times are numbers"))
                .collect()
        })
        .collect();
    let [first, computed, slept] = lines.as_slice() else {
        panic!("three readings: {told}")
    };
    assert_eq!(first, computed, "computing takes no time");
    assert_eq!(first[0], first[1], "one clock behind all of them");
    assert_eq!(slept[0], slept[1]);
    assert!(slept[0] > first[0], "an answer brings the time with it");
    assert_eq!(slept[2], slept[0] - first[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn chance_is_another_in_every_run() {
    let host = TestHost::start().await;
    host.deploy("acme", "dice", &guests::DICE).await;
    let client = host.client("acme").await;
    let body = json!({ "input": "x" });
    let thrown: Vec<String> = join_all((0..8).map(|_| client.run("dice", &body)))
        .await
        .iter()
        .map(|events| text(events))
        .collect();
    let mut different = thrown.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), thrown.len(), "{thrown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_nothing_around_a_guest() {
    let host = TestHost::start().await;
    host.deploy("acme", "surroundings", &guests::SURROUNDINGS)
        .await;
    let events = host
        .client("acme")
        .await
        .run("surroundings", &json!({ "input": "x" }))
        .await;
    assert_eq!(stop_reason(&events), "end_turn");
    for line in text(&events).lines() {
        assert!(line.ends_with(" 0"), "found: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_and_an_exit_are_named_and_bounded() {
    let host = TestHost::start().await;
    host.deploy("acme", "panic", &guests::PANIC).await;
    host.deploy("acme", "exit", &guests::EXIT).await;
    let trap = ("trap", "guest", "unreachable");
    let run = ends(&host, "panic", &json!({ "input": "x" }), trap).await;
    let stderr = &run["guest_log"]["stderr"];
    assert!(
        stderr["text"]
            .as_str()
            .is_some_and(|text| text.contains("so it ends")),
        "{stderr}"
    );
    assert_eq!(stderr["text"].as_str().map(str::len), Some(64 << 10));
    assert!(
        stderr["dropped_bytes"].as_i64() > Some(1_000_000),
        "{}",
        stderr["dropped_bytes"]
    );
    assert!(run["fault"].to_string().len() < 2_000);
    let exit = ("trap", "guest", "the guest exited with status 1");
    ends(&host, "exit", &json!({ "input": "1" }), exit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_says_is_only_text() {
    let host = TestHost::start().await;
    host.deploy("acme", "mutter", &guests::MUTTER).await;
    let hostile = "a\0b\u{1b}[31mred\r\n\n\nevent: done\ndata: {}\n\u{202e}back\u{2028}\u{85}\u{feff}\u{10ffff}'; drop table runs;--";
    let stored = hostile.replace('\0', "\u{fffd}");
    let client = host.client("acme").await;
    let events = client.run("mutter", &json!({ "input": hostile })).await;
    let mut kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    // Its last `--` may begin a private key: it is said once it is known that it does not.
    kinds.dedup();
    assert_eq!(kinds, ["started", "text", "status", "done"]);
    assert_eq!(text(&events), stored);
    let status = events.iter().find(|event| event.kind == "status");
    let status = status.expect("it said one").data["text"].as_str();
    let status = status.expect("a status is text");
    assert!(!status.chars().any(char::is_control), "{status:?}");
    for event in &events {
        assert!(
            !event.raw.bytes().any(|byte| byte < b' '),
            "one line each: {}",
            event.raw
        );
    }
    let run = events[0].data["run"]
        .as_str()
        .expect("runs have ids")
        .to_owned();
    let view = client.show("mutter", &run).await;
    assert_eq!(view["stop_reason"], "guest_error");
    assert_eq!(view["output"], stored);
    for stream in ["stdout", "stderr"] {
        assert_eq!(
            view["guest_log"][stream]["text"],
            format!("{stored}\n"),
            "{stream}"
        );
    }
    let log = view["guest_log"]["log"]["text"]
        .as_str()
        .expect("it logged");
    assert_eq!(
        log.lines().count(),
        1,
        "a line of the log is a line: {log:?}"
    );
    let said = view["fault"]["message"].as_str().expect("it said why");
    assert!(
        said.contains("[31mred") && !said.contains(['\0', '\u{1b}', '\r']),
        "{said:?}"
    );
    // Read again from the table, to the byte.
    let again = client.resume("mutter", &run, 0).await.rest().await;
    assert_eq!(again, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_does_not_touch_the_neighbours() {
    let host = TestHost::start().await;
    host.deploy("globex", "sleep", &guests::SLEEP).await;
    let trap = Raw {
        run: "unreachable",
        ..Raw::default()
    };
    deploy(&host, "trap", trap).await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let mut neighbour = globex.stream("sleep", &json!({ "input": "300" })).await;
    neighbour.next_of("text").await;
    let body = json!({ "input": "x" });
    for events in join_all((0..20).map(|_| acme.run("trap", &body))).await {
        assert_eq!(stop_reason(&events), "trap");
    }
    assert_eq!(stop_reason(&neighbour.rest().await), "end_turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_guest_runs_after_its_stop() {
    let host = TestHost::start().await;
    host.deploy("acme", "last-words", &guests::LAST_WORDS).await;
    let client = host.client("acme").await;
    let ended = client.run("last-words", &json!({ "input": "1" })).await;
    assert_eq!(
        text(&ended),
        "first words, last words",
        "left alone it speaks"
    );
    let mut events = client
        .stream("last-words", &json!({ "input": "3600000" }))
        .await;
    let run = events.run();
    events.next_of("text").await;
    let cancelled = client.cancel("last-words", &run).await;
    assert_eq!(cancelled.json()["output"], "first words, ");
    assert_eq!(text(&events.rest().await), "", "stopped it does not");
    let body = json!({ "input": "3600000", "deadline_ms": 400 });
    let late = ends(&host, "last-words", &body, ("deadline", "limit", "")).await;
    assert_ne!(late["output"], "first words, last words");
}

/// Each run looks for what the one before left in the memory both were given, then fills it.
#[tokio::test(flavor = "multi_thread")]
async fn memory_is_empty_for_the_next_tenant() {
    let host = TestHost::start_with(|config| {
        config.sandbox.guests = 1;
        config.runs.concurrent = 1;
    })
    .await;
    let residue = Raw {
        memory: "64",
        fields: "(memory $second 64)",
        run: "(local.set $i (i32.const 131072))
            (loop $look
              (if (i64.ne (i64.load (local.get $i)) (i64.const 0)) (then unreachable))
              (if (i64.ne (i64.load $second (local.get $i)) (i64.const 0)) (then unreachable))
              (local.set $i (i32.add (local.get $i) (i32.const 8)))
              (br_if $look (i32.lt_u (local.get $i) (i32.const 4194304))))
            (memory.fill (i32.const 131072) (i32.const 171) (i32.const 4063232))
            (memory.fill $second (i32.const 0) (i32.const 171) (i32.const 4194304))
            (i32.const 512)",
        ..Raw::default()
    };
    for org in ["acme", "globex"] {
        host.client(org)
            .await
            .deploy("residue", &residue.bytes())
            .await;
    }
    for round in 0..12 {
        let org = ["acme", "globex"][round % 2];
        let events = host
            .client(org)
            .await
            .run("residue", &json!({ "input": "x" }))
            .await;
        assert_eq!(stop_reason(&events), "end_turn", "round {round}");
    }
}

/// I12, on a small scale: the same run costs the same fuel, whoever runs beside it.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_run_costs_the_same_fuel() {
    let host = TestHost::start().await;
    let calls = "(loop $again
          (drop (call $now))
          (local.set $n (i32.const 0))
          (loop $spin
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $spin (i32.lt_u (local.get $n) (i32.const 300))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const 200))))
        (drop (memory.grow (i32.const 3)))
        (i32.const 512)";
    deploy(
        &host,
        "calls",
        Raw {
            imports: &[Import::Clock],
            run: calls,
            ..Raw::default()
        },
    )
    .await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    let client = host.client("acme").await;
    let body = json!({ "input": "the same" });
    for agent in ["calls", "echo"] {
        let mut used = Vec::new();
        for _ in 0..10 {
            for events in join_all((0..20).map(|_| client.run(agent, &body))).await {
                assert_eq!(stop_reason(&events), "end_turn");
                used.push(
                    events[events.len() - 1].data["usage"]["fuel"]
                        .as_i64()
                        .expect("fuel is counted"),
                );
            }
        }
        used.dedup();
        assert_eq!(used.len(), 1, "{agent}: {used:?}");
    }
}
