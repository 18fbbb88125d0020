//! Guests that say what others have to read: texts that would drive a terminal or forge a line, JSON without end, and
//! questions no index likes. And guests that look for what is not theirs.

use std::fmt::Write as _;

use bulkhead_tests::raw::{Import, Raw};

use crate::guests;
use crate::hostile::row::{END_TURN, Ending, Row};

/// Everything that could do something where it is shown.
pub(super) const DRIVES: &str = "a\r\nevent: done\r\n\r\n\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}eert\u{2066}\u{200f}\u{feff}\u{2028}\u{85}\u{0}b";

/// Text as a data string of the text format.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        write!(quoted, "\\{byte:02x}").expect("memory");
    }
    quoted
}

/// A guest with a text at 4096 that does this.
fn with(name: &'static str, import: Import, text: &str, call: &str, ending: Ending) -> Row {
    let fields = format!("(data (i32.const 4096) \"{}\")", quoted(text));
    let run = format!("{call} (i32.const 512)");
    let raw = Raw {
        imports: &[import],
        fields: &fields,
        run: &run,
        ..Raw::default()
    };
    Row::raw(name, raw, ending)
}

pub(super) fn rows() -> Vec<Row> {
    [drives(), json(), questions(), looks()].concat()
}

fn drives() -> Vec<Row> {
    let bytes = DRIVES.len();
    let says = |call: &str| format!("({call} (i32.const 4096) (i32.const {bytes}))");
    let tool = format!(
        "(drop (call $started (i32.const 4096) (i32.const {bytes}) (i32.const 4096) (i32.const {bytes})))
        (call $finished (i32.const 1) (i32.const 1) (i32.const 4096) (i32.const {bytes}))
        (call $finished (i32.const 1) (i32.const 0) (i32.const 4096) (i32.const {bytes}))"
    );
    let cite = format!(
        "(call $cite (i32.const 4096) (i32.const {bytes}) (i32.const 1) (i32.const 1)
          (i32.const 4096) (i32.const {bytes}) (i32.const 600))
        (if (i32.ne (i32.load8_u (i32.const 600)) (i32.const 1)) (then unreachable))"
    );
    let error = format!(
        "(i32.store8 (i32.const 512) (i32.const 1)) (i32.store8 (i32.const 516) (i32.const 1))
        (i32.store (i32.const 520) (i32.const 4096)) (i32.store (i32.const 524) (i32.const {bytes}))"
    );
    let model = error.replace(
        "(i32.const 516) (i32.const 1)",
        "(i32.const 516) (i32.const 0)",
    );
    let says_error = Ending::Ends("guest_error", "guest", "event: done");
    let says_model = Ending::Ends("model_error", "host", "event: done");
    vec![
        with(
            "speech-text",
            Import::Output,
            DRIVES,
            &says("call $text"),
            END_TURN,
        ),
        with(
            "speech-status",
            Import::Output,
            DRIVES,
            &says("call $status"),
            END_TURN,
        ),
        with(
            "speech-log",
            Import::Log,
            DRIVES,
            &says("call $line (i32.const 2)"),
            END_TURN,
        ),
        with("speech-tool", Import::Tools, DRIVES, &tool, END_TURN),
        with("speech-citation", Import::Output, DRIVES, &cite, END_TURN),
        with("speech-error", Import::Output, DRIVES, &error, says_error),
        with(
            "speech-model-error",
            Import::Output,
            DRIVES,
            &model,
            says_model,
        ),
    ]
}

fn json() -> Vec<Row> {
    let starts = |bytes: usize| {
        format!(
            "(drop (call $started (i32.const 4096) (i32.const 1) (i32.const 4096) (i32.const {bytes})))"
        )
    };
    let of = |name, text: &str| with(name, Import::Tools, text, &starts(text.len()), END_TURN);
    let deep = "(memory.fill (i32.const 65536) (i32.const 91) (i32.const 100000))
        (drop (call $started (i32.const 4096) (i32.const 1) (i32.const 65536) (i32.const 100000)))";
    // 30,000 empty objects.
    let wide = "(i32.store8 (i32.const 65536) (i32.const 91))
        (loop $more
          (i32.store offset=65537 (i32.mul (local.get $i) (i32.const 3)) (i32.const 0x2c7d7b))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $i) (i32.const 30000))))
        (i32.store8 (i32.const 155536) (i32.const 93))
        (drop (call $started (i32.const 4096) (i32.const 1) (i32.const 65536) (i32.const 90001)))";
    let closed = "[".repeat(120) + &"]".repeat(120);
    vec![
        of("json-half", "{\"a\": [1, 2"),
        of("json-nothing", ""),
        of("json-nul", "{\"\\u0000\": \"\\u0000\"}"),
        of("json-surrogate", "{\"a\": \"\\ud800\"}"),
        of("json-twice", "{\"a\": 1, \"a\": 2, \"__proto__\": 3}"),
        of(
            "json-numbers",
            "[1e999, -1e-999, 99999999999999999999999999, 1.7976931348623157e308]",
        ),
        of("json-nested", &closed),
        with("json-100000-deep", Import::Tools, "t", deep, END_TURN),
        with("json-30000-wide", Import::Tools, "t", wide, END_TURN),
    ]
}

fn questions() -> Vec<Row> {
    let asks = |bytes: usize, limit: &str| {
        format!(
            "(call $search (i32.const 4096) (i32.const {bytes}) (i32.const {limit}) (i32.const 0) (i32.const 0) (i32.const 600))"
        )
    };
    let operators = "((((a AND (b OR NOT c~99^1e99) title:[* TO *} \"\"\" /.*(.*)*/ +-&&||!{}*?:\\";
    let repeated = "(a* OR ".repeat(580);
    let of = |name, text: &str, limit| {
        with(
            name,
            Import::Knowledge,
            text,
            &asks(text.len(), limit),
            END_TURN,
        )
    };
    let huge = "(memory.fill (i32.const 65536) (i32.const 97) (i32.const 190000))
        (call $search (i32.const 65536) (i32.const 190000) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 600))";
    vec![
        of("question-operators", operators, "4"),
        of("question-repeated", &repeated, "4"),
        of("question-for-everything", "a", "-1"),
        of("question-for-nothing", "", "0"),
        of("question-drives", DRIVES, "4"),
        with("question-of-190-kb", Import::Knowledge, "a", huge, END_TURN),
    ]
}

fn looks() -> Vec<Row> {
    // What the one before left in memory, table or stack is found, and then left for the next one.
    let residue = Raw {
        memory: "96",
        fields: "(table $t 20000 funcref) (elem declare func $deep)
          (func $deep (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
              (else (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 0x5a5a5a5a)))))",
        run: "(local.set $i (i32.const 131072))
          (loop $look
            (if (i64.ne (i64.load (local.get $i)) (i64.const 0)) (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 8)))
            (br_if $look (i32.lt_u (local.get $i) (i32.const 4194304))))
          (local.set $i (i32.const 0))
          (loop $entries
            (if (i32.eqz (ref.is_null (table.get $t (local.get $i)))) (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $entries (i32.lt_u (local.get $i) (i32.const 20000))))
          (memory.fill (i32.const 131072) (i32.const 171) (i32.const 4063232))
          (table.fill $t (i32.const 0) (ref.func $deep) (i32.const 20000))
          (drop (call $deep (i32.const 5000)))
          (i32.const 512)",
        ..Raw::default()
    };
    vec![
        Row::raw("residue", residue, END_TURN),
        Row::new("looks-around", guests::SURROUNDINGS.bytes(), END_TURN),
    ]
}
