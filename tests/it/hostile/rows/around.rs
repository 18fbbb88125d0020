//! Guests whose code runs where nobody called it: start functions, post-return, destructors, `describe`.

use bulkhead_tests::raw::{Raw, places};
use time::macros::datetime;

use crate::hostile::row::{END_TURN, Ending, FUEL, Row, trap};

const LIFTED: &str = "(core func $guest \"run\") (memory $memory)";
const LIFTED_POST: &str =
    "(core func $guest \"run\") (post-return (core func $guest \"post\")) (memory $memory)";
const SPIN: &str = "(loop $ever (br $ever))";

/// Does this after `run` returned.
fn afterwards(name: &'static str, what: &str, ending: Ending) -> Row {
    let post = format!("(func (export \"post\") (param i32) {what})");
    let raw = Raw {
        fields: &post,
        ..Raw::default()
    };
    Row::altered(name, raw, (LIFTED, LIFTED_POST), ending)
}

/// A guest that does this at its start, but not while it is looked at: the driver moves the clock between the two.
pub(in crate::hostile) fn at_its_start(what: &str) -> Vec<u8> {
    let noticed = datetime!(2026-11-20 09:30 UTC).unix_timestamp_nanos();
    places::at_its_start(what, noticed)
}

/// Makes a resource of its own and drops it.
fn destructor(name: &'static str, what: &str, ending: Ending) -> Row {
    let component = format!(
        "(core module $d (func (export \"dtor\") (param i32) {what}))
        (core instance $d (instantiate $d))
        (type $r (resource (rep i32) (dtor (core func $d \"dtor\"))))
        (core func $new (canon resource.new $r))
        (core func $gone (canon resource.drop $r))
        (core instance $own (export \"new\" (func $new)) (export \"gone\" (func $gone)))"
    );
    let raw = Raw {
        component: &component,
        fields: "",
        run: "(call $gone (call $new (i32.const 7))) (i32.const 512)",
        ..Raw::default()
    };
    let text = raw.text().replace(
        "(with \"host\" (instance $host))",
        "(with \"host\" (instance $host)) (with \"own\" (instance $own))",
    );
    let text = text.replace(
        "(import \"libc\" \"memory\" (memory 0))",
        "(import \"libc\" \"memory\" (memory 0))
        (import \"own\" \"new\" (func $new (param i32) (result i32)))
        (import \"own\" \"gone\" (func $gone (param i32)))",
    );
    Row::new(name, bulkhead_tests::raw::assemble(&text), ending)
}

pub(super) fn rows() -> Vec<Row> {
    let refused = |name, raw: Raw<'_>, detail| {
        Row::raw(name, raw, Ending::Refused("describe_failed", detail))
    };
    let starts = |what: &str| format!("(func $start {what}) (start $start)");
    let (start_loop, start_trap) = (starts(SPIN), starts("unreachable"));
    let of = |fields| Raw {
        fields,
        ..Raw::default()
    };
    let describes = |describe| Raw {
        describe,
        ..Raw::default()
    };
    vec![
        afterwards("post-return-loops", SPIN, FUEL),
        afterwards("post-return-traps", "unreachable", trap("unreachable")),
        Row::new("start-loops", at_its_start(SPIN), FUEL),
        Row::new(
            "start-traps",
            at_its_start("unreachable"),
            trap("unreachable"),
        ),
        destructor("destructor-is-fine", "", END_TURN),
        destructor("destructor-loops", SPIN, FUEL),
        destructor("destructor-traps", "unreachable", trap("unreachable")),
        refused(
            "start-loops-at-once",
            of(&start_loop),
            "the fuel limit was used up",
        ),
        refused("start-traps-at-once", of(&start_trap), "unreachable"),
        refused(
            "describe-loops",
            describes("(loop $ever (br $ever)) (i32.const 0)"),
            "the fuel limit was used up",
        ),
        refused("describe-traps", describes("unreachable"), "unreachable"),
        refused(
            "describe-outside",
            describes("(i32.const -8)"),
            "out of bounds",
        ),
        refused(
            "describe-4-gib",
            describes("(i32.store (i32.const 1028) (i32.const -1)) (i32.const 1024)"),
            "out of bounds",
        ),
        refused(
            "describe-not-utf8",
            describes("(i32.store (i32.const 2048) (i32.const 0x80a0ed)) (i32.const 1024)"),
            "utf-8",
        ),
    ]
}
