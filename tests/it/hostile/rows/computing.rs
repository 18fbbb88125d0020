//! Guests that do not stop: loops of every kind, recursion until the stack is full, also inside a host call.

use bulkhead_tests::raw::{Import, Raw};

use crate::hostile::row::{DEADLINE, FUEL, Row, trap};

const INDIRECT: Raw<'_> = Raw {
    fields: "(type $f (func)) (table 1 funcref) (elem (i32.const 0) $nothing) (func $nothing)",
    run: "(loop $again (call_indirect (type $f) (i32.const 0)) (br $again)) (i32.const 512)",
    imports: &[],
    guardrails: &[],
    component: "",
    memory: "4",
    describe: "(i32.const 1024)",
};

const FLOATS: &str = "(local.set $i (i32.const 1))
    (loop $again
      (f64.store (i32.const 8192) (f64.sqrt (f64.load (i32.const 8192))))
      (br_if $again (local.get $i)))
    (i32.const 512)";

/// Recursion whose frames hold 200 values that are wanted again after the call, which asks the host on the way down.
fn deep_calls() -> Raw<'static> {
    let locals: String = (0..200).map(|n| format!("(local $v{n} i64)")).collect();
    let sets: String = (0..200)
        .map(|n| format!("(local.set $v{n} (i64.load (i32.const {})))", 8192 + n * 8))
        .collect();
    let sum: String = (0..200)
        .map(|n| format!("(local.get $v{n}) (i64.add)"))
        .collect();
    let deep = format!(
        "(func $deep (param $n i32) (result i64) {locals} {sets}
          (call $random (i64.const 8) (i32.const 600))
          (global.set $heap (i32.const 65536))
          (call $deep (i32.add (local.get $n) (i32.const 1)))
          {sum})"
    );
    Raw {
        imports: &[Import::Random],
        fields: deep.leak(),
        run: "(drop (call $deep (i32.const 0))) (i32.const 512)",
        ..Raw::default()
    }
}

const SIGNATURE: &str = "(param i32 i32) (param $align i32) (param $size i32) (result i32)";

pub(super) fn rows() -> Vec<Row> {
    let deep = Raw {
        fields: "(func $deep (param i32) (result i32)
            (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))",
        run: "(call $deep (i32.const 0))",
        ..Raw::default()
    };
    let mutual = Raw {
        fields: "(type $f (func (param i32) (result i32))) (table 2 funcref) (elem (i32.const 0) $a $b)
            (func $a (type $f) (i32.add (call_indirect (type $f) (local.get 0) (i32.const 1)) (i32.const 1)))
            (func $b (type $f) (i32.add (call_indirect (type $f) (local.get 0) (i32.const 0)) (i32.const 1)))",
        run: "(call $a (i32.const 0))",
        ..Raw::default()
    };
    let asks_seven = Raw {
        imports: &[Import::Random],
        run: "(call $random (i64.const 7) (i32.const 600)) (i32.const 512)",
        ..Raw::default()
    };
    let recursing = format!(
        "{SIGNATURE} (if (i32.eq (local.get $size) (i32.const 7))
          (then (return (i32.add (i32.const 1)
            (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 7))))))"
    );
    let spinning = format!(
        "{SIGNATURE} (if (i32.eq (local.get $size) (i32.const 7)) (then (loop $ever (br $ever))))"
    );
    let named = (
        "(func (export \"realloc\")",
        "(func $realloc (export \"realloc\")",
    );
    vec![
        Row::does(
            "loop-plain",
            "(loop $again (br $again)) (i32.const 512)",
            FUEL,
        ),
        Row::does(
            "loop-table",
            "(loop $again (br_table $again $again (local.get 0))) (i32.const 512)",
            FUEL,
        ),
        Row::raw("loop-indirect", INDIRECT, FUEL),
        Row::does("loop-floats", FLOATS, FUEL),
        Row::does(
            "loop-until-deadline",
            "(loop $again (br $again)) (i32.const 512)",
            DEADLINE,
        )
        .within(20),
        Row::raw("recursion", deep, trap("call stack exhausted")),
        Row::raw("recursion-mutual", mutual, trap("call stack exhausted")),
        Row::raw(
            "recursion-calling-the-host",
            deep_calls(),
            trap("call stack exhausted"),
        ),
        Row::altered_twice(
            "recursion-inside-a-host-call",
            asks_seven,
            [named, (SIGNATURE, &recursing)],
            trap("call stack exhausted"),
        ),
        Row::altered(
            "loop-inside-a-host-call",
            asks_seven,
            (SIGNATURE, &spinning),
            FUEL,
        ),
    ]
}
