//! The polite neighbour: another organization that asks for one trivial run after the other and notes how long each
//! took. Its figures are printed, never judged here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bulkhead_tests::raw::Raw;
use bulkhead_tests::{Client, TestHost};
use serde_json::json;

pub(super) const AGENT: &str = "polite";

/// Runs of another organization, beside whatever happens meanwhile.
pub(super) struct Neighbour {
    client: Client,
}

impl Neighbour {
    pub(super) async fn of(host: &TestHost) -> Self {
        let client = host.client("globex").await;
        client.deploy(AGENT, &Raw::default().bytes()).await;
        let neighbour = Self { client };
        neighbour.beside(neighbour.some(50)).await;
        neighbour
    }

    /// So many runs, one after the other.
    pub(super) async fn some(&self, runs: usize) {
        for _ in 0..runs {
            self.one().await;
        }
    }

    /// The neighbour's latencies while `what` goes on.
    pub(super) async fn beside<T>(&self, what: impl Future<Output = T>) -> (T, Latencies) {
        let over = Arc::new(AtomicBool::new(false));
        let asking = async {
            let mut took = Vec::new();
            while !over.load(Ordering::Relaxed) {
                took.push(self.one().await);
            }
            took
        };
        let acting = async {
            let value = what.await;
            over.store(true, Ordering::Relaxed);
            value
        };
        let (took, value) = tokio::join!(asking, acting);
        (value, Latencies::of(took))
    }

    async fn one(&self) -> Duration {
        let begun = Instant::now();
        let path = format!("/agents/{AGENT}/runs?wait=30");
        let answer = self.client.post(&path, &json!({ "input": "x" })).await;
        assert_eq!(answer.status, 200, "the neighbour: {}", answer.text);
        assert_eq!(answer.json()["stop_reason"], "end_turn", "{}", answer.text);
        begun.elapsed()
    }
}

/// How long a neighbour's runs took.
#[derive(Debug)]
pub(super) struct Latencies {
    sorted: Vec<Duration>,
}

impl Latencies {
    pub(super) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        Self { sorted: took }
    }

    fn at(&self, percent: usize) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let place = (self.sorted.len() * percent / 100).min(last);
        self.sorted.get(place).copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |took: Duration| took.as_secs_f64() * 1_000.0;
        let (median, high) = (ms(self.at(50)), ms(self.at(99)));
        write!(f, "{median:.1} / {high:.1} ms, {} runs", self.sorted.len())
    }
}
