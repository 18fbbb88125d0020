//! Channels are flipped while two hosts are under load: no request fails, and the other host follows within a second.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulkhead_tests::TestHost;
use bulkhead_tests::host::eventually;
use serde_json::json;

use super::{taken, verb, versions};

const FLIPS: usize = 12;
const READERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_channels_flip() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let other = host.join().await;
    versions(&client, "echo", 3).await;
    let (over, runs) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = (0..READERS).map(|n| {
        let client = client.at(&if n % 2 == 0 { host.url() } else { other.url() });
        let (over, runs) = (&over, &runs);
        async move {
            while !over.load(Ordering::Relaxed) {
                let answer = client
                    .post("/agents/echo/runs?wait=30", &json!({"input": "x"}))
                    .await;
                assert_eq!(answer.status, 200, "a request failed: {}", answer.text);
                assert_eq!(answer.json()["stop_reason"], "end_turn", "{}", answer.text);
                runs.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let flips = async {
        let elsewhere = client.at(&other.url());
        let mut times = Vec::new();
        for n in 0..FLIPS {
            let (word, body, wanted) = match n % 3 {
                0 => ("promote", json!({"version": 2, "repin": true}), 2),
                1 => ("promote", json!({"version": 3}), 3),
                _ => ("rollback", json!({}), 2),
            };
            let moved = verb(&client, "echo", word, body).await;
            let flipped = Instant::now();
            assert_eq!(moved.status, 200, "{}", moved.text);
            let mut seen = flipped;
            eventually("the other host follows", async || {
                seen = Instant::now();
                taken(&elsewhere, "echo", json!({"input": "x"})).await.0 == wanted
            })
            .await;
            times.push(seen - flipped);
        }
        over.store(true, Ordering::Relaxed);
        times
    };
    let (_, mut times) =
        futures_util::future::join(futures_util::future::join_all(load), flips).await;
    times.sort_unstable();
    let ms = |time: Duration| time.as_millis();
    println!(
        "{FLIPS} flips under {} runs of {READERS} clients on two hosts: 0 failed; seen by the other host after p50 {} ms, max {} ms",
        runs.load(Ordering::Relaxed),
        ms(times[FLIPS / 2]),
        ms(times[FLIPS - 1]),
    );
    other.stop().await;
    host.stop().await;
}
