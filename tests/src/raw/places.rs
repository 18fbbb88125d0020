//! Guests that stay where a cancel is to find them: in a search, in a tool, while they are instantiated, in their start
//! function, while they are judged. Used by the tests and the bench of cancels.

use super::{Import, Raw};

/// Searches without end.
pub fn searching() -> Vec<u8> {
    let raw = Raw {
        imports: &[Import::Knowledge],
        fields: "(data (i32.const 4096) \"how do i stop a run??\")",
        run: "(loop $again
            (call $search (i32.const 4096) (i32.const 21) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 600))
            (global.set $heap (i32.const 65536)) (br $again))
            (i32.const 512)",
        ..Raw::default()
    };
    raw.bytes()
}

/// Says that it calls its tool, and computes without end.
pub fn in_a_tool() -> Vec<u8> {
    let raw = Raw {
        imports: &[Import::Tools],
        fields: "(data (i32.const 4096) \"look{}\")",
        run: "(drop (call $started (i32.const 4096) (i32.const 4) (i32.const 4100) (i32.const 2)))
            (loop $again (br $again)) (i32.const 512)",
        ..Raw::default()
    };
    raw.bytes()
}

/// Has memories and tables enough that instantiating it takes a moment; then its turn is over.
pub fn instantiated_slowly() -> Vec<u8> {
    let raw = Raw {
        component: "(core module $e (memory 16) (table 2000 funcref) (func $f) (elem (i32.const 0) $f $f $f))
        (core instance (instantiate $e)) (core instance (instantiate $e)) (core instance (instantiate $e))",
        ..Raw::default()
    };
    raw.bytes()
}

/// Says something, under the judgement of a guardrail component.
pub fn judged_by(component: &str) -> Vec<u8> {
    let rule = format!("component={component}");
    let raw = Raw {
        imports: &[Import::Output],
        guardrails: &[&rule],
        fields: "(data (i32.const 4096) \"hello\")",
        run: "(call $text (i32.const 4096) (i32.const 5)) (i32.const 512)",
        ..Raw::default()
    };
    raw.bytes()
}

/// Does `what` in its start function once its clock is beyond `since` (nanoseconds of Unix time): until then it can be
/// looked at and deployed.
pub fn at_its_start(what: &str, since: i128) -> Vec<u8> {
    let start = format!(
        "(func $start (if (i64.gt_u (call $wasi_now) (i64.const {since})) (then {what}))) (start $start)"
    );
    let raw = Raw {
        imports: &[Import::WasiClock],
        fields: &start,
        ..Raw::default()
    };
    raw.bytes()
}
