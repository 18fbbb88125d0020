//! Guests that lie about their values: addresses, lengths, discriminants, texts, and what their realloc gives.

use bulkhead_tests::raw::{Import, Raw};

use crate::hostile::row::{CROSSING, END_TURN, Ending, Row, trap};

/// The result is the agent's own error: a text that is here and so long.
fn error(name: &'static str, address: &str, bytes: &str, ending: Ending) -> Row {
    let run = format!(
        "(i32.store8 (i32.const 512) (i32.const 1))
        (i32.store8 (i32.const 516) (i32.const 1))
        (i32.store (i32.const 520) (i32.const {address}))
        (i32.store (i32.const 524) (i32.const {bytes}))
        (i32.const 512)"
    );
    Row::does(name, &run, ending)
}

fn call(name: &'static str, import: Import, call: &str, ending: Ending) -> Row {
    let run = format!("{call} (i32.const 512)");
    let raw = Raw {
        imports: &[import],
        run: &run,
        ..Raw::default()
    };
    Row::raw(name, raw, ending)
}

pub(super) fn rows() -> Vec<Row> {
    [results(), lists(), arguments(), reallocs()].concat()
}

fn results() -> Vec<Row> {
    let discriminant = "(i32.store8 (i32.const 512) (i32.const 9)) (i32.const 512)";
    let outcome = "(i32.store8 (i32.const 516) (i32.const 9)) (i32.const 512)";
    let failure = "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store8 (i32.const 516) (i32.const 200)) (i32.const 512)";
    let utf8 =
        "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store8 (i32.const 516) (i32.const 1))
        (i32.store (i32.const 520) (i32.const 8192)) (i32.store (i32.const 524) (i32.const 3))
        (i32.store (i32.const 8192) (i32.const 0x80a0ed)) (i32.const 512)";
    let long = Raw {
        memory: "80",
        run: "(memory.fill (i32.const 65536) (i32.const 97) (i32.const 4000000))
            (i32.store8 (i32.const 512) (i32.const 1)) (i32.store8 (i32.const 516) (i32.const 1))
            (i32.store (i32.const 520) (i32.const 65536)) (i32.store (i32.const 524) (i32.const 4000000))
            (i32.const 512)",
        ..Raw::default()
    };
    vec![
        Row::does("result-outside", "(i32.const -16)", trap("out of bounds")),
        Row::does(
            "result-at-the-edge",
            "(i32.const 262140)",
            trap("out of bounds"),
        ),
        Row::does("result-misaligned", "(i32.const 513)", trap("not aligned")),
        Row::does("result-discriminant", discriminant, trap("discriminant")),
        Row::does("result-outcome", outcome, trap("discriminant")),
        Row::does("result-failure", failure, trap("discriminant")),
        Row::does("result-not-utf8", utf8, trap("utf-8")),
        error("result-text-outside", "-1", "100", trap("out of bounds")),
        error("result-text-of-4-gib", "0", "-1", trap("out of bounds")),
        error(
            "result-text-over-the-edge",
            "262000",
            "1000",
            trap("out of bounds"),
        ),
        Row::raw("result-text-of-4-mb", long, CROSSING),
    ]
}

fn lists() -> Vec<Row> {
    // 250,000 empty strings.
    let empties = Raw {
        imports: &[Import::Knowledge],
        memory: "80",
        run: "(call $search (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 131072) (i32.const 250000) (i32.const 600))
            (i32.const 512)",
        ..Raw::default()
    };
    // 4,000 tags that share one text of 60,000 bytes: 240 MB as the host sees it.
    let aliased = "(loop $tags
          (i32.store offset=131072 (i32.mul (local.get $i) (i32.const 8)) (i32.const 65536))
          (i32.store offset=131076 (i32.mul (local.get $i) (i32.const 8)) (i32.const 60000))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $tags (i32.lt_u (local.get $i) (i32.const 4000))))
        (call $search (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 131072) (i32.const 4000) (i32.const 600))";
    let list = |address: &str, count: &str| {
        format!(
            "(call $search (i32.const 0) (i32.const 0) (i32.const 1) (i32.const {address}) (i32.const {count}) (i32.const 600))"
        )
    };
    vec![
        Row::raw("argument-250000-empty-texts", empties, CROSSING),
        call(
            "argument-aliased-texts",
            Import::Knowledge,
            aliased,
            CROSSING,
        ),
        call(
            "argument-list-outside",
            Import::Knowledge,
            &list("-8", "100"),
            trap("out of bounds"),
        ),
        call(
            "argument-list-of-4-gib",
            Import::Knowledge,
            &list("0", "-1"),
            trap("out of bounds"),
        ),
        call(
            "argument-list-misaligned",
            Import::Knowledge,
            &list("131073", "4"),
            trap("not aligned"),
        ),
    ]
}

fn arguments() -> Vec<Row> {
    let surrogate = "(i32.store (i32.const 8192) (i32.const 0x80a0ed)) (call $text (i32.const 8192) (i32.const 3))";
    let option = "(call $cite (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 600))";
    let answer = "(call $finished (i32.const 1) (i32.const 9) (i32.const 0) (i32.const 0))";
    let level = "(call $line (i32.const 77) (i32.const 0) (i32.const 0))";
    let retptr = "(call $random (i64.const 8) (i32.const 601))";
    let retout = "(call $random (i64.const 8) (i32.const -4))";
    vec![
        call(
            "argument-text-outside",
            Import::Output,
            "(call $text (i32.const -8) (i32.const 100))",
            trap("out of bounds"),
        ),
        call(
            "argument-text-of-4-gib",
            Import::Output,
            "(call $text (i32.const 0) (i32.const -1))",
            trap("out of bounds"),
        ),
        call(
            "argument-not-utf8",
            Import::Output,
            surrogate,
            trap("utf-8"),
        ),
        call(
            "argument-option",
            Import::Output,
            option,
            trap("discriminant"),
        ),
        call(
            "argument-result",
            Import::Tools,
            answer,
            trap("discriminant"),
        ),
        call("argument-enum", Import::Log, level, trap("discriminant")),
        call(
            "return-misaligned",
            Import::Random,
            retptr,
            trap("not aligned"),
        ),
        call(
            "return-outside",
            Import::Random,
            retout,
            trap("out of bounds"),
        ),
    ]
}

const SIGNATURE: &str = "(param i32 i32) (param $align i32) (param $size i32) (result i32)";

fn reallocs() -> Vec<Row> {
    let gives = |name, address: &str, ending| {
        let asks = Raw {
            imports: &[Import::Random],
            run: "(call $random (i64.const 300) (i32.const 600)) (i32.const 512)",
            ..Raw::default()
        };
        let lie = format!("{SIGNATURE} (return (i32.const {address}))");
        Row::altered(name, asks, (SIGNATURE, &lie), ending)
    };
    vec![
        gives("realloc-zero", "0", END_TURN),
        gives("realloc-same-place", "65536", END_TURN),
        gives("realloc-over-itself", "1024", END_TURN),
        gives("realloc-outside", "-8", trap("realloc")),
        gives("realloc-at-the-edge", "262140", trap("realloc")),
        gives("realloc-misaligned", "65537", trap("not aligned")),
    ]
}
