//! What a guest computes is the same on every host and beside whatever runs: bits of floating point, relaxed SIMD, and
//! what it all cost.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::{stop_reason, text};
use bulkhead_tests::raw::{Import, Raw};
use futures_util::future::join_all;
use serde_json::json;

use crate::guests;

/// Results whose bits a processor may choose, each stored as eight bytes, then said as hexadecimal digits.
fn fingerprint() -> Vec<u8> {
    let nan = "(f64.reinterpret_i64 (i64.const 0xfff4000000000001))";
    let (zero, minus) = ("(f64.const 0)", "(f64.const -1)");
    let floats = [
        format!("(f64.div {zero} {zero})"),
        format!("(f64.sqrt {minus})"),
        format!("(f64.add {nan} (f64.const 1))"),
        format!("(f64.mul (f64.const inf) {zero})"),
        format!("(f64.min {nan} {zero})"),
        format!("(f64.nearest {nan})"),
        format!("(f64.promote_f32 (f32.demote_f64 {nan}))"),
    ];
    let odd = "(v128.const i8x16 255 128 16 15 0 1 127 200 255 128 16 15 0 1 127 200)";
    let wide = "(v128.const f64x2 1e300 -nan:0x4000000000001)";
    let tiny = "(v128.const f64x2 1.0000000000000002 0x1p-1022)";
    let words = "(v128.const i16x8 -32768 -32768 32767 1 -1 300 -300 0)";
    let lanes = [
        format!("(i8x16.relaxed_swizzle {odd} {odd})"),
        format!("(i32x4.relaxed_trunc_f64x2_s_zero {wide})"),
        "(i32x4.relaxed_trunc_f32x4_u (v128.const f32x4 -1 nan 1e20 3.9))".to_owned(),
        format!("(f64x2.relaxed_madd {tiny} {tiny} {wide})"),
        format!("(f64x2.relaxed_nmadd {tiny} {tiny} {tiny})"),
        format!("(f64x2.relaxed_min {wide} {tiny})"),
        "(f64x2.relaxed_max (v128.const f64x2 0 -0) (v128.const f64x2 -0 0))".to_owned(),
        format!("(i16x8.relaxed_q15mulr_s {words} {words})"),
        format!("(i8x16.relaxed_laneselect {odd} {words} {wide})"),
        format!("(i16x8.relaxed_dot_i8x16_i7x16_s {odd} {odd})"),
    ];
    let mut stores = String::new();
    let mut address = 8192;
    for value in &floats {
        stores += &format!("(f64.store (i32.const {address}) {value})\n");
        address += 8;
    }
    for value in &lanes {
        stores += &format!("(v128.store (i32.const {address}) {value})\n");
        address += 16;
    }
    let run = format!(
        "{stores}
        (local.set $i (i32.const 8192))
        (local.set $n (i32.const 16384))
        (loop $digits
          (i32.store8 (local.get $n) (i32.add (i32.const 97) (i32.shr_u (i32.load8_u (local.get $i)) (i32.const 4))))
          (i32.store8 offset=1 (local.get $n) (i32.add (i32.const 97) (i32.and (i32.load8_u (local.get $i)) (i32.const 15))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (local.set $n (i32.add (local.get $n) (i32.const 2)))
          (br_if $digits (i32.lt_u (local.get $i) (i32.const {address}))))
        (call $text (i32.const 16384) (i32.sub (local.get $n) (i32.const 16384)))
        (i32.const 512)"
    );
    let raw = Raw {
        imports: &[Import::Output],
        run: &run,
        ..Raw::default()
    };
    raw.bytes()
}

/// A double's bits as the fingerprint says them: sixteen letters, the lowest byte first.
fn letters(value: u64) -> String {
    let digit = |n: u8| char::from(b'a' + n);
    value
        .to_le_bytes()
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_processor_cannot_be_told_by_its_bits() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    client.deploy("bits", &fingerprint()).await;
    let body = json!({ "input": "x" });
    let runs = join_all((0..20).map(|_| client.run("bits", &body))).await;
    let mut said: Vec<String> = runs.iter().map(|events| text(events)).collect();
    said.dedup();
    let [bits] = said.as_slice() else {
        panic!("one answer: {said:?}")
    };
    // Every NaN is the one NaN.
    assert!(
        bits.starts_with(&letters(0x7ff8_0000_0000_0000).repeat(7)),
        "{bits}"
    );
    // The rest as it was on the machine where this was written.
    insta::assert_snapshot!(&bits[7 * 16..], @"aaaaaamippiaaaaaaaaaaamippiaaaaapppppphpaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaappppppppadaaaaaajmhfaaiidmoedhhoaaaaaaaaaaaapihpabaaaaaaaaaalalmaaaaaaaaaaaabaaaabaaaaaaaaaapadpaaaaaaaaaaaapihpaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaapphppphppohpaaaaaaaaadaaadaaaaaajmiaaaaimdbldheippppcmabnepohemiabeaobababaaebelabeaobababaaebel");
}

/// I12: a thousand times the same fuel, with a crowd of other runs beside.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_costs_what_it_costs() {
    let host = TestHost::start().await;
    host.deploy("acme", "echo", &guests::ECHO).await;
    host.deploy("globex", "spin", &guests::SPIN).await;
    let (acme, globex) = (host.client("acme").await, host.client("globex").await);
    let spinning = globex.start("spin", &json!({ "input": "x" })).await;
    let body = json!({ "input": "the same" });
    let mut used = Vec::new();
    for _ in 0..25 {
        for events in join_all((0..40).map(|_| acme.run("echo", &body))).await {
            assert_eq!(stop_reason(&events), "end_turn");
            used.push(events[events.len() - 1].data["usage"]["fuel"].clone());
        }
    }
    assert_eq!(used.len(), 1_000);
    used.dedup();
    assert_eq!(used.len(), 1, "{used:?}");
    globex.cancel("spin", &spinning).await;
}
