//! Guests that call the host: without end, with floods, with nothing, with handles that are not theirs, waiting for
//! what never comes.

use bulkhead_tests::raw::{Import, Raw};

use crate::guests;
use crate::hostile::row::{
    CALLS, CROSSING, DEADLINE, END_TURN, Ending, HANDLES, OUTPUT, Row, trap,
};

/// A guest that calls for ever.
fn ever(name: &'static str, import: Import, call: &str, ending: Ending) -> Row {
    let run =
        format!("(local.set $n (i32.const 0)) (loop $again {call} (br $again)) (i32.const 512)");
    let raw = Raw {
        imports: &[import],
        run: &run,
        ..Raw::default()
    };
    Row::raw(name, raw, ending)
}

/// A guest that calls and ends.
fn once(name: &'static str, import: Import, call: &str, ending: Ending) -> Row {
    let run = format!("{call} (i32.const 512)");
    let raw = Raw {
        imports: &[import],
        run: &run,
        ..Raw::default()
    };
    Row::raw(name, raw, ending)
}

pub(super) fn rows() -> Vec<Row> {
    [counted(), floods(), handles(), waits(), oracles(), ends()].concat()
}

fn counted() -> Vec<Row> {
    let byte = "(call $random (i64.const 1) (i32.const 600)) (global.set $heap (i32.const 65536))";
    vec![
        ever("calls-clock", Import::Clock, "(drop (call $now))", CALLS),
        ever(
            "calls-wasi-clock",
            Import::WasiClock,
            "(drop (call $wasi_now))",
            CALLS,
        ),
        ever("calls-random-byte", Import::Random, byte, CALLS),
        ever(
            "calls-random-u64",
            Import::Random,
            "(drop (call $random_u64))",
            CALLS,
        ),
        ever(
            "calls-empty-text",
            Import::Output,
            "(call $text (i32.const 0) (i32.const 0))",
            CALLS,
        ),
        ever(
            "calls-log",
            Import::Log,
            "(call $line (i32.const 1) (i32.const 4096) (i32.const 1))",
            CALLS,
        ),
        ever(
            "calls-tools-finished",
            Import::Tools,
            "(call $finished (i32.const 77) (i32.const 0) (i32.const 4096) (i32.const 1))",
            CALLS,
        ),
    ]
}

fn floods() -> Vec<Row> {
    let written = |call: &str| {
        format!(
            "(if (i32.eqz (local.get $n)) (then (local.set $n (i32.add (call $stdout) (i32.const 0))))) {call}"
        )
    };
    let full =
        written("(call $write (local.get $n) (i32.const 8192) (i32.const 4096) (i32.const 600))");
    let empty =
        written("(call $write (local.get $n) (i32.const 8192) (i32.const 0) (i32.const 600))");
    let zeroes = written("(call $zeroes (local.get $n) (i64.const 65536) (i32.const 600))");
    let huge = written("(call $zeroes (local.get $n) (i64.const -1) (i32.const 600))");
    let bytes =
        "(call $random (i64.const 65536) (i32.const 600)) (global.set $heap (i32.const 65536))";
    let talk = "(memory.fill (i32.const 4096) (i32.const 97) (i32.const 60000))
        (call $text (i32.const 4096) (i32.const 60000))";
    let lines = "(call $line (i32.const 3) (i32.const 4096) (i32.const 60000))";
    let statuses = "(call $status (i32.const 4096) (i32.const 60000))";
    vec![
        ever("flood-stdout", Import::Stdout, &full, CALLS),
        ever("flood-stdout-empty", Import::Stdout, &empty, CALLS),
        ever("flood-stdout-zeroes", Import::Stdout, &zeroes, CROSSING),
        ever(
            "flood-stdout-zeroes-huge",
            Import::Stdout,
            &huge,
            trap("more zeroes than"),
        ),
        ever("flood-random", Import::Random, bytes, CROSSING),
        ever(
            "flood-events",
            Import::Output,
            "(call $text (i32.const 1024) (i32.const 1))",
            CALLS,
        ),
        ever(
            "flood-events-empty",
            Import::Output,
            "(call $status (i32.const 0) (i32.const 0))",
            CALLS,
        ),
        ever("flood-text", Import::Output, talk, OUTPUT),
        ever("flood-log", Import::Log, lines, CROSSING),
        ever("flood-status", Import::Output, statuses, CROSSING),
    ]
}

fn handles() -> Vec<Row> {
    let twice = "(local.set $n (call $in (i64.const 1))) (call $drop (local.get $n)) (call $drop (local.get $n))";
    let after = "(local.set $n (call $in (i64.const 1))) (call $drop (local.get $n)) (call $block (local.get $n))";
    let stream = "(call $drop_stream (i32.const 12345))";
    let kind = "(drop (call $stdout)) (call $drop_stream (i32.const 1))
        (call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 600))";
    vec![
        ever(
            "handles-leaked",
            Import::WasiClock,
            "(drop (call $in (i64.const 1)))",
            HANDLES,
        ),
        ever(
            "handles-stdout-leaked",
            Import::Stdout,
            "(drop (call $stdout))",
            HANDLES,
        ),
        once(
            "handles-dropped-twice",
            Import::WasiClock,
            twice,
            trap("unknown handle index"),
        ),
        once(
            "handles-used-after-drop",
            Import::WasiClock,
            after,
            trap("unknown handle index"),
        ),
        once(
            "handles-foreign",
            Import::WasiClock,
            "(call $block (i32.const 77))",
            trap("unknown handle index 77"),
        ),
        once(
            "handles-zero",
            Import::WasiClock,
            "(call $drop (i32.const 0))",
            trap("unknown handle index 0"),
        ),
        once(
            "handles-foreign-stream",
            Import::Stdout,
            stream,
            trap("unknown handle index"),
        ),
        once(
            "handles-written-after-drop",
            Import::Stdout,
            kind,
            trap("unknown handle index"),
        ),
    ]
}

fn waits() -> Vec<Row> {
    let years = "(call $block (call $in (i64.const 315360000000000000)))";
    let for_ever = "(call $block (call $in (i64.const -1)))";
    let until = "(call $block (call $at (i64.const -1)))";
    // The same pollable, years away, 40,000 times in one list.
    let many = "
        (local.set $n (call $in (i64.const 315360000000000000)))
        (loop $fill
          (i32.store offset=65536 (i32.mul (local.get $i) (i32.const 4)) (local.get $n))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $fill (i32.lt_u (local.get $i) (i32.const 40000))))
        (global.set $heap (i32.const 230000))
        (call $poll (i32.const 65536) (i32.const 40000) (i32.const 600))";
    let open = "
        (loop $fill
          (i32.store offset=65536 (i32.mul (local.get $i) (i32.const 4)) (call $in (i64.const 315360000000000000)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $fill (i32.lt_u (local.get $i) (i32.const 200))))
        (call $poll (i32.const 65536) (i32.const 200) (i32.const 600))";
    let nothing = "(call $poll (i32.const 65536) (i32.const 0) (i32.const 600))";
    let read =
        "(local.set $n (call $stdin)) (call $read (local.get $n) (i64.const -1) (i32.const 600))
        (if (i32.ne (i32.load8_u (i32.const 600)) (i32.const 1)) (then unreachable))";
    vec![
        once("waits-for-years", Import::WasiClock, years, DEADLINE).within(20),
        once("waits-for-ever", Import::WasiClock, for_ever, DEADLINE).within(20),
        once(
            "waits-until-the-end-of-time",
            Import::WasiClock,
            until,
            DEADLINE,
        )
        .within(20),
        once("waits-in-40000-places", Import::WasiClock, many, HANDLES),
        once("waits-for-200", Import::WasiClock, open, DEADLINE).within(60),
        once(
            "waits-for-nothing",
            Import::WasiClock,
            nothing,
            trap("empty poll list"),
        ),
        once("waits-at-stdin", Import::Stdin, read, END_TURN),
    ]
}

/// Guests that would know how fast the host is. They trap where they learn something.
fn oracles() -> Vec<Row> {
    let spin = "(local.set $i (i32.const 0))
        (loop $spin
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $spin (i32.lt_u (local.get $i) (i32.const 1500000))))";
    // A timer of a microsecond is not due, however long it is since.
    let timer = format!(
        "(local.set $n (call $in (i64.const 1000))) {spin}
        (if (call $ready (local.get $n)) (then unreachable))"
    );
    // Two timers a nanosecond apart: the first one is due first, and alone.
    let race = "(i32.store (i32.const 8192) (call $in (i64.const 2000001)))
        (i32.store (i32.const 8196) (call $in (i64.const 2000000)))
        (call $poll (i32.const 8192) (i32.const 2) (i32.const 600))
        (if (i32.ne (i32.load (i32.const 604)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load (i32.load (i32.const 600))) (i32.const 1)) (then unreachable))
        (if (call $ready (i32.load (i32.const 8192))) (then unreachable))
        (call $block (i32.load (i32.const 8192)))
        (if (i32.eqz (call $ready (i32.load (i32.const 8192)))) (then unreachable))";
    let clock = format!(
        "(i64.store (i32.const 8192) (call $wasi_now)) {spin}
        (if (i64.ne (i64.load (i32.const 8192)) (call $wasi_now)) (then unreachable))
        (call $block (call $in (i64.const 3000000)))
        (if (i64.ne (i64.sub (call $wasi_now) (i64.load (i32.const 8192))) (i64.const 3000000)) (then unreachable))"
    );
    vec![
        once("oracle-timer", Import::WasiClock, &timer, END_TURN),
        once("oracle-race", Import::WasiClock, race, END_TURN),
        once("oracle-clock", Import::WasiClock, &clock, END_TURN),
    ]
}

/// Just under every limit at once: memory and table to their caps, handles, calls, output, log and most of the fuel.
/// A hundred of them have room beside each other.
fn modest() -> Row {
    let raw = Raw {
        imports: &[Import::WasiClock, Import::Output, Import::Log],
        fields: "(table $t 1 funcref)",
        run: "(if (i32.eq (memory.grow (i32.const 1020)) (i32.const -1)) (then unreachable))
            (if (i32.eq (table.grow $t (ref.null func) (i32.const 19999)) (i32.const -1)) (then unreachable))
            (loop $touch
              (i32.store offset=65536 (local.get $i) (i32.const 7))
              (local.set $i (i32.add (local.get $i) (i32.const 65536)))
              (br_if $touch (i32.lt_u (local.get $i) (i32.const 67043328))))
            (local.set $i (i32.const 0))
            (loop $open
              (drop (call $in (i64.const 1)))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $open (i32.lt_u (local.get $i) (i32.const 490))))
            (local.set $i (i32.const 0))
            (loop $ask
              (drop (call $wasi_now))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $ask (i32.lt_u (local.get $i) (i32.const 480))))
            (memory.fill (i32.const 131072) (i32.const 97) (i32.const 16000))
            (local.set $i (i32.const 0))
            (loop $talk
              (call $text (i32.const 131072) (i32.const 16000))
              (call $line (i32.const 0) (i32.const 131072) (i32.const 8000))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $talk (i32.lt_u (local.get $i) (i32.const 8))))
            (local.set $i (i32.const 0))
            (loop $compute
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $compute (i32.lt_u (local.get $i) (i32.const 2300000))))
            (i32.const 512)",
        ..Raw::default()
    };
    Row::raw("just-under-every-limit", raw, END_TURN).a_hundred()
}

fn ends() -> Vec<Row> {
    vec![
        modest(),
        once(
            "exits-well",
            Import::Exit,
            "(call $exit (i32.const 0))",
            trap("exited with status 0"),
        ),
        once(
            "exits-badly",
            Import::Exit,
            "(call $exit (i32.const 1))",
            trap("exited with status 1"),
        ),
        Row::does("aborts", "unreachable", trap("unreachable")),
        Row::new(
            "panics-with-a-megabyte",
            guests::PANIC.bytes(),
            trap("unreachable"),
        ),
        Row::new(
            "exits-with-a-code",
            guests::EXIT.bytes(),
            trap("exited with status 1"),
        )
        .asked("77"),
    ]
}
