//! Guests that take all the memory, all the tables and all the instances there are, and use them.

use bulkhead_tests::raw::Raw;

use crate::hostile::row::{END_TURN, Ending, FUEL, MEMORY, Row};

/// Grows by a page and touches it, for as long as there are pages.
const TOUCH: &str = "
    (loop $again
      (local.set $n (memory.grow (i32.const 1)))
      (if (i32.ne (local.get $n) (i32.const -1))
        (then
          (i32.store (i32.mul (local.get $n) (i32.const 65536)) (i32.const 7))
          (i32.store offset=4096 (i32.mul (local.get $n) (i32.const 65536)) (i32.const 7))
          (br $again))))";

const TOUCH_ALL: &str = "
    (drop (memory.grow (i32.const 1020)))
    (loop $again
      (i32.store (local.get $i) (i32.const 7))
      (local.set $i (i32.and (i32.add (local.get $i) (i32.const 4096)) (i32.const 0x3ffffff)))
      (br_if $again (i32.ge_u (local.get $i) (i32.const 65536)))
      (local.set $i (i32.const 65536))
      (br $again))
    (i32.const 512)";

pub(super) fn rows() -> Vec<Row> {
    [used(), refused()].concat()
}

fn used() -> Vec<Row> {
    let several = Raw {
        fields: "(memory $second 1) (memory $third 1)",
        run: "(loop $again
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (local.set $n (memory.grow $second (i32.const 1)))
              (if (i32.eq (local.get $n) (i32.const -1)) (then unreachable))
              (i32.store $second (i32.mul (local.get $n) (i32.const 65536)) (i32.const 7))
              (local.set $n (memory.grow $third (i32.const 1)))
              (if (i32.eq (local.get $n) (i32.const -1)) (then unreachable))
              (i32.store $third (i32.mul (local.get $n) (i32.const 65536)) (i32.const 7))
              (br $again))
            (i32.const 512)",
        ..Raw::default()
    };
    let fill = |bytes: &str| {
        format!(
            "(drop (memory.grow (i32.const 1020)))
            (loop $again (memory.fill (i32.const 65536) (i32.const 7) (i32.const {bytes})) (br $again))
            (i32.const 512)"
        )
    };
    let copy = "(drop (memory.grow (i32.const 1020)))
        (loop $again (memory.copy (i32.const 65536) (i32.const 33554432) (i32.const 33000000)) (br $again))
        (i32.const 512)";
    let tables = Raw {
        fields: "(table $t 10 funcref) (table $u 10 funcref)",
        run: "(loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 90)) (i32.const -1))))
            (if (i32.ne (table.size $t) (i32.const 19990)) (then unreachable))
            (loop $ever
              (table.fill $t (i32.const 0) (ref.null func) (i32.const 19990))
              (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 19989))
              (br $ever))
            (i32.const 512)",
        ..Raw::default()
    };
    let shrug = "(drop (memory.grow (i32.const 65535))) (drop (memory.grow (i32.const -1))) (i32.const 512)";
    vec![
        Row::does("memory-to-the-cap", &format!("{TOUCH} unreachable"), MEMORY),
        Row::does("memory-touched-for-ever", TOUCH_ALL, FUEL),
        Row::raw("memories-together", several, MEMORY),
        Row::does("memory-refused-and-fine", shrug, END_TURN),
        Row::does("memory-filled-for-ever", &fill("67000000"), FUEL),
        Row::does("memory-filled-in-pieces", &fill("64"), FUEL),
        Row::does("memory-copied-for-ever", copy, FUEL),
        Row::raw("tables-grown-and-filled", tables, FUEL),
    ]
}

/// What is more than there is from the start does not get in.
fn refused() -> Vec<Row> {
    let refused = |name, raw: Raw<'_>, detail| {
        Row::raw(name, raw, Ending::Refused("component_refused", detail))
    };
    let of = |fields| Raw {
        fields,
        ..Raw::default()
    };
    let instances = format!(
        "(core module $e) {}",
        "(core instance (instantiate $e))".repeat(5_000)
    );
    vec![
        refused(
            "memory-initial",
            Raw {
                memory: "1025",
                ..Raw::default()
            },
            "exceeds the limit of 0x4000000",
        ),
        refused(
            "memories-five",
            of("(memory 1) (memory 1) (memory 1) (memory 1)"),
            "maximum of 4",
        ),
        refused(
            "table-giant",
            of("(table 4000000 funcref)"),
            "exceeds the limit of 20000",
        ),
        refused(
            "instances-by-the-thousand",
            Raw {
                component: &instances,
                ..Raw::default()
            },
            "instances count exceeds limit of 1000",
        ),
        Row::raw(
            "memories-initial-together",
            of("(memory 600) (memory 600)"),
            Ending::Refused("describe_failed", "the memory limit was reached"),
        ),
    ]
}
