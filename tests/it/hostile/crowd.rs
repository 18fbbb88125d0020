//! The driver: a host with small limits, a row alone with everything its end leaves behind, rows many at once, rows
//! one after the other.

use std::time::{Duration, Instant};

use bulkhead_tests::host::eventually;
use bulkhead_tests::{Client, TestHost};
use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::row::{Ending, Row};

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) fuel: u64,
    pub(super) host_calls: u64,
    pub(super) handles: usize,
    pub(super) crossing: u64,
    pub(super) output: u64,
    /// Whether each row has a crowd and a queue of its own, or all of them one.
    pub(super) each: bool,
}

pub(super) const QUICK: Form = Form {
    fuel: 20_000_000,
    host_calls: 1_000,
    handles: 500,
    crossing: 4 << 20,
    output: 128 << 10,
    each: false,
};

pub(super) const LONG: Form = Form {
    fuel: 200_000_000,
    host_calls: 10_000,
    handles: 4_096,
    crossing: 64 << 20,
    output: 4 << 20,
    each: true,
};

/// A host on which rows end soon.
pub(super) async fn host(form: Form) -> TestHost {
    TestHost::start_with(|config| {
        config.sandbox.limits.host_calls = form.host_calls;
        config.sandbox.limits.handles = form.handles;
        config.sandbox.limits.crossing_bytes_per_run = form.crossing;
        config.sandbox.limits.output_bytes = form.output;
        config.sandbox.guests = 160;
        config.runs.concurrent = 160;
        config.runs.concurrent_per_org = 120;
    })
    .await
}

/// A row on a host.
pub(super) struct Stage<'a> {
    pub(super) host: &'a TestHost,
    pub(super) client: Client,
    fuel: u64,
}

impl<'a> Stage<'a> {
    pub(super) async fn of(host: &'a TestHost, form: Form) -> Self {
        let client = host.client("acme").await;
        // Somebody listens, so that what is told is kept.
        sqlx::query(
            "insert into webhook_endpoints (org_id, id, url, description, events, signature, secret_sealed, created_at,
               created_by, updated_at)
             select id, gen_random_uuid(), 'https://example.com', '', '{*}', 'standard', '', now(), id, now()
             from organizations where slug = 'acme'",
        )
        .execute(host.db())
        .await
        .expect("an endpoint can be made");
        Self {
            host,
            client,
            fuel: form.fuel,
        }
    }

    /// Uploads every row, or sees it refused. Guests that behave until they were looked at see another hour then.
    pub(super) async fn upload(&self, rows: &[Row]) {
        for row in rows {
            let Ending::Refused(code, detail) = row.ending else {
                if let Some(judge) = &row.judge {
                    self.client.deploy(&Row::judge_of(row.name), judge).await;
                }
                self.client.deploy(row.name, &row.bytes).await;
                continue;
            };
            let answer = self.client.upload(row.name, &row.bytes).await;
            assert_eq!(answer.status, 422, "{}: {}", row.name, answer.text);
            assert_eq!(answer.code(), code, "{}: {}", row.name, answer.text);
            let text = &answer.text;
            assert!(text.contains(detail), "{}: it says {text}", row.name);
        }
        self.host.clock().advance(Duration::from_secs(3_600));
    }

    /// Runs a row by itself and looks at everything its end leaves behind; how long it took.
    pub(super) async fn alone(&self, row: &Row) -> Duration {
        let begun = Instant::now();
        let stream = self.client.stream(row.name, &row.body(self.fuel)).await;
        let run = stream.run();
        let events = stream.rest().await;
        let took = begun.elapsed();
        row.check_events(&events);
        let view = self.client.show(row.name, &run).await;
        row.check(&view);
        let again = self.client.resume(row.name, &run, 0).await.rest().await;
        assert_eq!(again, events, "{}: the table is what was sent", row.name);
        let id = Uuid::parse_str(&run["run_".len()..]).expect("ids are UUIDs");
        let fuel: Vec<i64> = sqlx::query_scalar("select fuel from usage_records where run_id = $1")
            .bind(id)
            .fetch_all(self.host.db())
            .await
            .expect("usage can be read");
        assert_eq!(json!(fuel), json!([view["usage"]["fuel"]]), "{}", row.name);
        if let Ending::Blocked(..) = row.ending {
            self.is_told(row, id).await;
        }
        took
    }

    /// A run that a guardrail ended left one violation, and was told to whoever watches over agents.
    async fn is_told(&self, row: &Row, run: Uuid) {
        let actions: Vec<String> =
            sqlx::query_scalar("select action from guardrail_violations where run_id = $1")
                .bind(run)
                .fetch_all(self.host.db())
                .await
                .expect("violations can be read");
        assert_eq!(actions, ["blocked"], "{}", row.name);
        let topics: Vec<String> = sqlx::query_scalar(
            "select topic from outbox where run_id = $1 and topic in ('audit.flagged', 'agent_run.blocked')
             order by topic",
        )
        .bind(run)
        .fetch_all(self.host.db())
        .await
        .expect("the outbox can be read");
        assert_eq!(
            topics,
            ["agent_run.blocked", "audit.flagged"],
            "{}",
            row.name
        );
    }

    /// Runs all of these at once.
    pub(super) async fn at_once(&self, rows: &[&Row]) {
        join_all(rows.iter().map(|row| self.to_its_end(row))).await;
    }

    /// Runs all of these one after the other.
    pub(super) async fn in_a_row(&self, rows: &[&Row]) {
        for row in rows {
            self.to_its_end(row).await;
        }
    }

    async fn to_its_end(&self, row: &Row) {
        let path = format!("/agents/{}/runs?wait=60", row.name);
        let answer = self.client.post(&path, &row.body(self.fuel)).await;
        assert_eq!(answer.status, 200, "{}: {}", row.name, answer.text);
        row.check(&answer.json());
    }

    /// Waits until nothing of the guests is left; what is resident then.
    pub(super) async fn emptied(&self) -> u64 {
        let app = &self.host.host().app;
        eventually("no guest is left", async || app.scheduler.alive() == 0).await;
        eventually("no run is left", async || app.runs.registry().is_empty()).await;
        resident()
    }
}

/// Memory of this process that is resident, in bytes.
pub(super) fn resident() -> u64 {
    let stated = std::fs::read_to_string("/proc/self/statm").expect("linux tells");
    let pages = stated
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("pages are a number") * 4_096
}
