//! Guardrail components that are hostile: each judges an agent that behaves, and whatever it does but answer ends that
//! agent's run, with its reason named.

use bulkhead_tests::raw::judge::{ALLOW, HANG, Judge, REWRITE};
use bulkhead_tests::raw::{Import, Raw};

use super::speech::{DRIVES, quoted};
use crate::hostile::row::{END_TURN, Ending, Row};

/// Time or fuel, whichever a busy machine comes to first.
const LATE: Ending = Ending::Blocked(&["too slow", "fuel", "wall_ms"]);
const TRAP: Ending = Ending::Blocked(&["trap"]);
/// A flood of calls: it may be late before it is too much.
const FLOOD: Ending = Ending::Blocked(&["host_calls", "too slow", "fuel", "wall_ms"]);
const CARRIED: Ending = Ending::Blocked(&["crossing_bytes_per_call"]);
const UNFIT: Ending = Ending::Blocked(&["a rewrite that cannot be"]);

pub(super) fn rows() -> Vec<Row> {
    [ends(), lies(), wants(), says(), itself(), imports()].concat()
}

fn does(name: &'static str, check: &str, ending: Ending) -> Row {
    let judge = Judge {
        check,
        ..Judge::default()
    };
    Row::judged(name, judge, ending)
}

fn ends() -> Vec<Row> {
    let starts = Judge {
        fields: "(func $start (loop $ever (br $ever))) (start $start)",
        ..Judge::default()
    };
    let allocates = Judge {
        realloc: "(loop $ever (br $ever))",
        ..Judge::default()
    };
    let sleeps = Judge {
        imports: &[Import::WasiClock],
        check: "(call $block (call $in (i64.const 3600000000000))) (i32.const 16)",
        ..Judge::default()
    };
    let recurses = Judge {
        fields: "(func $deep (param i32) (result i32)
            (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
        check: "(call $deep (i32.const 0))",
        ..Judge::default()
    };
    let leaves = Judge {
        imports: &[Import::Exit],
        check: "(call $exit (i32.const 0)) (i32.const 16)",
        ..Judge::default()
    };
    vec![
        does("judge-hangs", HANG, LATE),
        Row::judged("judge-hangs-at-its-start", starts, LATE),
        Row::judged("judge-hangs-in-realloc", allocates, LATE),
        Row::judged("judge-sleeps", sleeps, LATE),
        does("judge-traps", "unreachable", TRAP),
        // Its whole stack is unwound: among many that may take longer than it has.
        Row::judged(
            "judge-recurses",
            recurses,
            Ending::Blocked(&["trap", "too slow"]),
        ),
        Row::judged("judge-leaves", leaves, TRAP),
    ]
}

fn lies() -> Vec<Row> {
    let not_text = Judge {
        fields: "(data (i32.const 96) \"\\ed\\a0\\80\")",
        check: "(call $says (i32.const 1) (i32.const 96) (i32.const 3))",
        ..Judge::default()
    };
    let no_room = Judge {
        realloc: "(return (i32.const -8))",
        ..Judge::default()
    };
    vec![
        does(
            "judge-verdict-unknown",
            "(call $says (i32.const 9) (i32.const 64) (i32.const 9))",
            TRAP,
        ),
        does("judge-verdict-outside", "(i32.const -4)", TRAP),
        does("judge-verdict-misaligned", "(i32.const 17)", TRAP),
        does(
            "judge-text-outside",
            "(call $says (i32.const 1) (i32.const -8) (i32.const 9))",
            TRAP,
        ),
        does(
            "judge-text-of-4-gib",
            "(call $says (i32.const 1) (i32.const 0) (i32.const -1))",
            TRAP,
        ),
        Row::judged("judge-text-not-utf8", not_text, TRAP),
        Row::judged("judge-realloc-lies", no_room, TRAP),
    ]
}

fn wants() -> Vec<Row> {
    let rewrites =
        |bytes: &str| format!("(call $says (i32.const 1) (i32.const 65536) (i32.const {bytes}))");
    let of_10_mb = rewrites("10000000");
    let of_1_mb = rewrites("1048577");
    let large = |check| Judge {
        memory: "170",
        check,
        ..Judge::default()
    };
    let floods = Judge {
        imports: &[Import::Stdout],
        check: "(local.set $i (call $stdout))
            (loop $more (call $write (local.get $i) (i32.const 64) (i32.const 9) (i32.const 600)) (br $more))
            unreachable",
        ..Judge::default()
    };
    let reads = Judge {
        imports: &[Import::WasiClock],
        check: "(loop $more (drop (call $wasi_now)) (br $more)) unreachable",
        ..Judge::default()
    };
    let hoards = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    vec![
        Row::judged("judge-rewrites-to-10-mb", large(&of_10_mb), CARRIED),
        Row::judged("judge-rewrites-to-1-mb", large(&of_1_mb), UNFIT),
        does("judge-hoards", hoards, Ending::Blocked(&["memory_bytes"])),
        Row::judged("judge-floods-its-log", floods, FLOOD),
        Row::judged("judge-reads-the-clock", reads, FLOOD),
    ]
}

fn says() -> Vec<Row> {
    let data = format!("(data (i32.const 2048) \"{}\")", quoted(DRIVES));
    let says = |what: u32| {
        let bytes = DRIVES.len();
        format!("(call $says (i32.const {what}) (i32.const 2048) (i32.const {bytes}))")
    };
    let (rewrites, blocks) = (says(1), says(2));
    let driving = |check| Judge {
        fields: &data,
        check,
        ..Judge::default()
    };
    // What the one before was asked is not there for the next one: what it leaves, it would find.
    let residue = Judge {
        memory: "3",
        check: "(local.set $i (i32.const 131072))
          (loop $look
            (if (i64.ne (i64.load (local.get $i)) (i64.const 0)) (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 8)))
            (br_if $look (i32.lt_u (local.get $i) (i32.const 147456))))
          (memory.fill (i32.const 131072) (i32.const 171) (i32.const 16384))
          (i32.const 16)",
        ..Judge::default()
    };
    vec![
        Row::judged("judge-rewrite-drives", driving(&rewrites), END_TURN),
        // Its reason is shown: no character in it drives anything.
        Row::judged(
            "judge-reason-drives",
            driving(&blocks),
            Ending::Blocked(&[""]),
        ),
        Row::judged("judge-residue", residue, END_TURN),
    ]
}

/// A guardrail cannot be judged, and no agent can judge.
fn itself() -> Vec<Row> {
    let declares = Judge {
        fields: "(data (i32.const 2048) \"\\08\\08\\00\\00\\01\\00\\00\\00\\10\\08\\00\\00\\20\\00\\00\\00component=judge-judges-itself-it\")
            (func (export \"declares\") (result i32) (i32.const 2048))",
        check: REWRITE,
        ..Judge::default()
    };
    let export = "(export \"check\" (func $check))";
    let more = format!(
        "{export}
        (func $declares (result (list string)) (canon lift (core func $i \"declares\") (memory $memory)))
        (export \"guardrails\" (func $declares))"
    );
    let text = declares.text();
    assert!(text.contains(export), "its export is where it was");
    let declares = bulkhead_tests::raw::assemble(&text.replace(export, &more));
    let alone = Raw {
        guardrails: &["component=judge-is-the-agent"],
        ..Raw::default()
    };
    vec![
        Row::judged_by("judge-judges-itself", declares, END_TURN),
        Row::raw("judge-is-the-agent", alone, Ending::Blocked(&["missing"])),
    ]
}

/// It has no capabilities: who wants some is no guardrail.
fn imports() -> Vec<Row> {
    let wants = |name, import| {
        let judge = Judge {
            imports: &[import],
            check: ALLOW,
            ..Judge::default()
        };
        let refused = Ending::Refused("component_refused", "does not fit");
        Row::new(name, judge.bytes(), refused)
    };
    vec![
        wants("judge-imports-clock", Import::Clock),
        wants("judge-imports-output", Import::Output),
        wants("judge-imports-tools", Import::Tools),
        wants("judge-imports-log", Import::Log),
        wants("judge-imports-knowledge", Import::Knowledge),
    ]
}
