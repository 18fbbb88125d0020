//! What memory refused has to do with a guest's end: everything where it gives up because of it, nothing where it went
//! on and failed for a reason of its own.

use bulkhead_tests::TestHost;
use bulkhead_tests::raw::{Import, Raw};
use serde_json::json;

use super::{deploy, ends};
use crate::guests;

/// More than there is.
const REFUSED: &str =
    "(if (i32.ne (memory.grow (i32.const 60000)) (i32.const -1)) (then (return (i32.const 512))))";
const MEMORY: (&str, &str, &str) = (
    "memory",
    "limit",
    "the memory limit was reached (`memory_bytes`)",
);

async fn each(rows: &[(&str, &'static [Import], &str)], end: (&str, &str, &str)) {
    let host = TestHost::start().await;
    for (agent, imports, then) in rows {
        let run = format!("{REFUSED} {then} (i32.const 512)");
        let raw = Raw {
            imports,
            run: &run,
            ..Raw::default()
        };
        deploy(&host, agent, raw).await;
        ends(&host, agent, &json!({ "input": "x" }), end).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_for_lack_of_memory_ends_with_memory() {
    const NONE: &[Import] = &[];
    let write =
        "(call $write (call $stdout) (i32.const 4096) (i32.const 9) (i32.const 600)) unreachable";
    let rows = [
        ("at-once", NONE, "unreachable"),
        (
            "blind",
            NONE,
            "(i32.store (i32.const 0x7000000) (i32.const 1))",
        ),
        // Asking how much there is, and asking once more, change nothing.
        (
            "asks",
            NONE,
            "(drop (memory.grow (i32.const 0))) unreachable",
        ),
        (
            "again",
            NONE,
            "(drop (memory.grow (i32.const 50000))) unreachable",
        ),
        ("writes", &[Import::Stdout], write),
        (
            "logs",
            &[Import::Log],
            "(call $line (i32.const 0) (i32.const 4096) (i32.const 9)) unreachable",
        ),
    ];
    each(&rows, MEMORY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_and_fails_later_ends_with_what_failed() {
    const NONE: &[Import] = &[];
    let rows = [
        (
            "got-some",
            NONE,
            "(drop (memory.grow (i32.const 1))) unreachable",
        ),
        ("asked", &[Import::Clock], "(drop (call $now)) unreachable"),
        (
            "spoke",
            &[Import::Output],
            "(call $text (i32.const 4096) (i32.const 9)) unreachable",
        ),
    ];
    each(&rows, ("trap", "guest", "unreachable")).await;
    let divides = [(
        "divides",
        NONE,
        "(drop (i32.div_u (i32.const 1) (i32.const 0)))",
    )];
    each(&divides, ("trap", "guest", "divide by zero")).await;
}

/// What a module does not allow itself is not the limit's doing, and counts as nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_memorys_own_maximum_is_its_own() {
    let host = TestHost::start().await;
    let own = Raw {
        memory: "4 5",
        run: "(drop (memory.grow (i32.const 2))) unreachable",
        ..Raw::default()
    };
    deploy(&host, "own", own).await;
    ends(
        &host,
        "own",
        &json!({ "input": "x" }),
        ("trap", "guest", "unreachable"),
    )
    .await;
    let patient = Raw {
        memory: "4 5",
        fields: "(memory $second 1)",
        run: "(loop $again
              (drop (memory.grow (i32.const 100)))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
            (if (i32.eq (memory.grow $second (i32.const 900)) (i32.const -1)) (then unreachable))
            (i32.const 512)",
        ..Raw::default()
    };
    deploy(&host, "patient", patient).await;
    let run = ends(
        &host,
        "patient",
        &json!({ "input": "x" }),
        ("end_turn", "", ""),
    )
    .await;
    assert_eq!(run["usage"]["memory_peak_bytes"], 905 * 65_536);
}

/// An allocator says its last word and aborts.
#[tokio::test(flavor = "multi_thread")]
async fn a_language_that_runs_out_of_memory_ends_with_memory() {
    let host = TestHost::start().await;
    host.deploy("acme", "hoard", &guests::HOARD).await;
    let run = ends(&host, "hoard", &json!({ "input": "x" }), MEMORY).await;
    let last = run["guest_log"]["stderr"]["text"].as_str().unwrap();
    assert!(last.contains("memory allocation of"), "{last}");
}
