//! Several hosts on one database: what is asked of one reaches the run on another, at once where they hear each other
//! and by the polls where they do not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cancel;
mod idle;
mod presence;
mod rolling;
mod streams;
mod takeover;

use bulkhead::config::Config;
use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};

use crate::guests;

/// Two hosts on one database; runs are started on the first and looked at from the second.
struct Two {
    first: Box<TestHost>,
    second: Box<TestHost>,
    here: Client,
    there: Client,
}

impl Two {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let first = TestHost::start_with(change).await;
        for (name, guest) in [
            ("sleep", &guests::SLEEP),
            ("spin", &guests::SPIN),
            ("chatter", &guests::CHATTER),
            ("generate", &guests::GENERATE),
        ] {
            first.deploy("acme", name, guest).await;
        }
        let second = first.join().await;
        let here = first.client("acme").await;
        let there = second.client("acme").await;
        Self {
            first: Box::new(first),
            second: Box::new(second),
            here,
            there,
        }
    }

    /// How many connections hear.
    async fn hearing(&self) -> i64 {
        sqlx::query_scalar(
            "select count(*) from pg_stat_activity where application_name = 'bulkhead listener'
               and datname = current_database() and query like '%LISTEN%' and state = 'idle'",
        )
        .fetch_one(self.second.db())
        .await
        .unwrap()
    }

    /// Cuts every connection that hears.
    async fn deafen(&self) {
        sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where application_name = 'bulkhead listener' and datname = current_database()",
        )
        .execute(self.second.db())
        .await
        .unwrap();
    }

    async fn hears_again(&self) {
        eventually("both hear again", async || self.hearing().await == 2).await;
    }

    async fn stop(self) {
        Box::pin(self.second.stop()).await;
        Box::pin(self.first.stop()).await;
    }
}

/// The value below which this part of them lies, in milliseconds; they must be sorted.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// Prints how long something took, for the figures of the specification.
#[expect(clippy::print_stdout, reason = "a figure that is not asserted")]
fn figures(what: &str, mut took: Vec<f64>) {
    took.sort_by(f64::total_cmp);
    println!(
        "{what}: n {} p50 {:.1} ms p99 {:.1} ms max {:.1} ms",
        took.len(),
        percentile(&took, 0.5),
        percentile(&took, 0.99),
        percentile(&took, 1.0)
    );
}
