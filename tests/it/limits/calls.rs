//! The limits of host calls: how many, how much they carry, what they leave open, what they write.

use bulkhead_tests::TestHost;
use bulkhead_tests::raw::{Import, Raw};
use serde_json::json;

use super::{deploy, ends};

/// A query with 4,000 tags that share one text of 60,000 bytes: 240 MB as the host sees it.
const ALIASED: &str = "
    (loop $tags
      (i32.store offset=131072 (i32.mul (local.get $i) (i32.const 8)) (i32.const 65536))
      (i32.store offset=131076 (i32.mul (local.get $i) (i32.const 8)) (i32.const 60000))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $tags (i32.lt_u (local.get $i) (i32.const 4000))))
    (call $search (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 131072) (i32.const 4000) (i32.const 600))
    (i32.const 512)";

#[tokio::test(flavor = "multi_thread")]
async fn host_calls_are_counted_however_cheap() {
    let host = TestHost::start_with(|config| config.sandbox.limits.host_calls = 500).await;
    let byte = "(call $random (i64.const 1) (i32.const 600))";
    let calls = [
        ("clock", Import::Clock, "(drop (call $now))"),
        ("wasi-clock", Import::WasiClock, "(drop (call $wasi_now))"),
        ("random", Import::Random, byte),
    ];
    let too_many = ("host_calls", "limit", "the limit of host calls was reached");
    for (agent, import, call) in calls {
        let run = format!("(loop $again {call} (br $again)) (i32.const 512)");
        deploy(
            &host,
            agent,
            Raw {
                imports: &[import],
                run: &run,
                ..Raw::default()
            },
        )
        .await;
        let ended = ends(&host, agent, &json!({ "input": "x" }), too_many).await;
        assert_eq!(ended["usage"]["host_calls"], 501, "{agent}");
        // 200 for each call, and whatever the loop costs.
        let fuel = ended["usage"]["fuel"].as_i64().expect("fuel is counted");
        assert!(fuel >= 500 * 200, "calls cost fuel: {fuel}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_pay_with_fuel_too() {
    let host = TestHost::start().await;
    let run = "(loop $again (drop (call $now)) (br $again)) (i32.const 512)";
    deploy(
        &host,
        "clock",
        Raw {
            imports: &[Import::Clock],
            run,
            ..Raw::default()
        },
    )
    .await;
    let body = json!({ "input": "x", "max_fuel": 100_000 });
    let ended = ends(&host, "clock", &body, ("fuel", "limit", "fuel limit")).await;
    assert_eq!(ended["usage"]["fuel"], 100_000);
    let calls = ended["usage"]["host_calls"]
        .as_i64()
        .expect("calls are counted");
    assert!((400..=500).contains(&calls), "{calls} calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_carries_so_much_and_a_run_so_much() {
    let host = TestHost::start_with(|config| {
        config.sandbox.limits.crossing_bytes_per_call = 64 << 10;
        config.sandbox.limits.crossing_bytes_per_run = 256 << 10;
    })
    .await;
    let large = "(call $text (i32.const 4096) (i32.const 65537)) (i32.const 512)";
    deploy(
        &host,
        "large",
        Raw {
            imports: &[Import::Output],
            run: large,
            ..Raw::default()
        },
    )
    .await;
    let one_call = ("crossing", "limit", "more bytes than one call may");
    let run = ends(&host, "large", &json!({ "input": "x" }), one_call).await;
    assert_eq!(run["output"], "", "what was refused is not shown");

    let many =
        "(loop $again (call $text (i32.const 4096) (i32.const 16384)) (br $again)) (i32.const 512)";
    deploy(
        &host,
        "many",
        Raw {
            imports: &[Import::Output],
            run: many,
            ..Raw::default()
        },
    )
    .await;
    let whole_run = ("crossing", "limit", "more bytes than a run may");
    let run = ends(&host, "many", &json!({ "input": "x" }), whole_run).await;
    let shown = run["output"]
        .as_str()
        .expect("text was shown")
        .chars()
        .count();
    assert_eq!(shown, 256 << 10);

    // The standard library's way out counts as well.
    let bytes = "(loop $again (call $random (i64.const 16384) (i32.const 600))
        (global.set $heap (i32.const 65536)) (br $again)) (i32.const 512)";
    deploy(
        &host,
        "bytes",
        Raw {
            imports: &[Import::Random],
            run: bytes,
            ..Raw::default()
        },
    )
    .await;
    ends(&host, "bytes", &json!({ "input": "x" }), whole_run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_share_their_elements_are_not_copied_out() {
    let host = TestHost::start().await;
    deploy(
        &host,
        "aliased",
        Raw {
            imports: &[Import::Knowledge],
            run: ALIASED,
            ..Raw::default()
        },
    )
    .await;
    let one_call = ("crossing", "limit", "more bytes than one call may");
    ends(&host, "aliased", &json!({ "input": "x" }), one_call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_resources_are_counted() {
    let host = TestHost::start_with(|config| config.sandbox.limits.handles = 100).await;
    let leak = "(loop $again (drop (call $in (i64.const 1))) (br $again)) (i32.const 512)";
    deploy(
        &host,
        "leak",
        Raw {
            imports: &[Import::WasiClock],
            run: leak,
            ..Raw::default()
        },
    )
    .await;
    let open = (
        "handles",
        "limit",
        "the limit of open resources was reached",
    );
    let run = ends(&host, "leak", &json!({ "input": "x" }), open).await;
    assert!(run["usage"]["host_calls"].as_i64() <= Some(101), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_ends_a_guest_that_does_not_stop_talking() {
    let host = TestHost::start_with(|config| config.sandbox.limits.output_bytes = 10_000).await;
    let flood = "(memory.fill (i32.const 4096) (i32.const 97) (i32.const 1000))
        (loop $again (call $text (i32.const 4096) (i32.const 1000)) (br $again)) (i32.const 512)";
    deploy(
        &host,
        "flood",
        Raw {
            imports: &[Import::Output],
            run: flood,
            ..Raw::default()
        },
    )
    .await;
    let full = ("output", "limit", "the output limit was reached");
    let run = ends(&host, "flood", &json!({ "input": "x" }), full).await;
    assert_eq!(run["output"], "a".repeat(10_000), "what fitted stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_its_first_bytes_and_counts_the_rest() {
    let host = TestHost::start().await;
    let run = "(memory.fill (i32.const 8192) (i32.const 98) (i32.const 4096))
        (local.set $n (call $stdout))
        (loop $again
          (call $write (local.get $n) (i32.const 8192) (i32.const 4096) (i32.const 600))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const 100))))
        (i32.const 512)";
    deploy(
        &host,
        "flood",
        Raw {
            imports: &[Import::Stdout],
            run,
            ..Raw::default()
        },
    )
    .await;
    let run = ends(
        &host,
        "flood",
        &json!({ "input": "x" }),
        ("end_turn", "", ""),
    )
    .await;
    let stdout = &run["guest_log"]["stdout"];
    assert_eq!(stdout["text"], "b".repeat(64 << 10));
    assert_eq!(stdout["dropped_bytes"], 100 * 4096 - (64 << 10));
    assert_eq!(run["output"], "", "stdout is not the answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_brings_so_many_random_bytes() {
    let host =
        TestHost::start_with(|config| config.sandbox.limits.random_bytes_per_call = 1_000).await;
    let enough = "(call $random (i64.const 1000) (i32.const 600)) (i32.const 512)";
    deploy(
        &host,
        "enough",
        Raw {
            imports: &[Import::Random],
            run: enough,
            ..Raw::default()
        },
    )
    .await;
    ends(
        &host,
        "enough",
        &json!({ "input": "x" }),
        ("end_turn", "", ""),
    )
    .await;
    let greedy = "(call $random (i64.const 1001) (i32.const 600)) (i32.const 512)";
    deploy(
        &host,
        "greedy",
        Raw {
            imports: &[Import::Random],
            run: greedy,
            ..Raw::default()
        },
    )
    .await;
    let refused = ("trap", "guest", "requested len 1001 exceeds limit 1000");
    ends(&host, "greedy", &json!({ "input": "x" }), refused).await;
}
