//! Effects, at the seam every capability asks through: none starts before its intent and everything before it is
//! durable, and none is repeated that must not be.

use std::sync::Arc;
use std::time::Duration;

use bulkhead::billing;
use bulkhead::guardrails::Guard;
use bulkhead::kit::commit::{Shape, Writer};
use bulkhead::kit::{OrgId, Tasks};
use bulkhead::runs::journal::RunJournal;
use bulkhead::runs::log::record::Key;
use bulkhead::runs::log::{Event, Live, Record, Writes};
use bulkhead::runs::{RunId, life};
use bulkhead::sandbox::{Begun, Intended, Journal as _, Meter, Repeat, journal};
use bulkhead_tests::TestHost;
use serde_json::{Value, json};

use super::{guests, input};

const SHAPE: Shape = Shape {
    lanes: 1,
    batch: 8,
    queue: 8,
    bytes: 1 << 20,
};

/// A run of a host, with lives that the test makes: each under a term of its own.
struct Lives {
    host: Box<TestHost>,
    key: Key,
}

impl Lives {
    async fn new() -> Self {
        let host = TestHost::start().await;
        host.deploy("acme", "journey", &guests::JOURNEY).await;
        let client = host.client("acme").await;
        let events = client.stream("journey", &input("sleep 60000")).await;
        let run: RunId = events.run().parse().unwrap();
        let org = sqlx::query_scalar("select org_id from runs")
            .fetch_one(host.db())
            .await
            .unwrap();
        Self {
            key: Key {
                org: OrgId(org),
                run,
                term: 1,
            },
            host: Box::new(host),
        }
    }

    /// The next life: who lived before may write no more.
    async fn next(&mut self) -> (RunJournal, Arc<Record>) {
        self.key.term += 1;
        sqlx::query("update runs set term = $1")
            .bind(self.key.term)
            .execute(self.host.db())
            .await
            .unwrap();
        let app = &self.host.host().app;
        let writer = Writer::start(Writes, &app.db, &Tasks::current(), SHAPE);
        let with = (writer, app.clock.clone(), app.tasks.clone());
        let started = Event::Status {
            text: String::new(),
        }
        .store(1, app.clock.now())
        .unwrap();
        let guard = Guard::new(Arc::default());
        let record = Record::new(self.key, Live::new(self.key.run), &[started], &guard, with);
        let (past, _) = life::past(&app.db, self.key.org, self.key.run)
            .await
            .unwrap();
        let meter = Meter::new(app.clock.now());
        (
            RunJournal::new(Arc::clone(&record), meter, billing::Meter::new(), past),
            record,
        )
    }

    async fn rows(&self, table: &str) -> Vec<Value> {
        let sql = format!("select to_jsonb(t) from {table} t order by seq");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(self.host.db())
            .await
            .unwrap()
    }

    async fn stop(self) {
        super::expect_fencing();
        for live in self.host.host().app.runs.registry().all() {
            live.stop(
                bulkhead::runs::log::StopCause::Deadline,
                self.host.clock().now(),
            );
        }
        sqlx::query("delete from run_intents")
            .execute(self.host.db())
            .await
            .unwrap();
        sqlx::query("delete from run_steps")
            .execute(self.host.db())
            .await
            .unwrap();
        sqlx::query("delete from run_events where seq > 1")
            .execute(self.host.db())
            .await
            .unwrap();
        sqlx::query("update runs set node_id = gen_random_uuid(), cancel_requested_at = now()")
            .execute(self.host.db())
            .await
            .unwrap();
        bulkhead_tests::host::eventually("the run is over", async || {
            self.host.run_jobs().await;
            self.host.host().app.runs.registry().is_empty()
        })
        .await;
        self.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_effect_starts_before_every_earlier_answer_is_durable() {
    let mut lives = Lives::new().await;
    let (mut journal, record) = lives.next().await;
    // The database does not let the run write.
    let mut held = lives.host.db().begin().await.unwrap();
    sqlx::query("select * from runs for update")
        .execute(&mut *held)
        .await
        .unwrap();
    record
        .say(Event::Text {
            text: "said".to_owned(),
        })
        .await
        .unwrap();
    let Begun::Live(ticket) = journal.begin("test.read", json!({})).await.unwrap() else {
        panic!("nobody was here before");
    };
    journal.end(ticket, json!({ "ok": 1 }), true).await.unwrap();
    let mut intent = journal.intend("test.effect", json!({}), Repeat::Unsafe);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut intent).await;
    assert!(early.is_err(), "it was granted before its past was durable");
    assert!(lives.rows("run_steps").await.is_empty());
    held.commit().await.unwrap();
    assert!(matches!(intent.await.unwrap(), Intended::Granted(_)));
    // In the moment it is granted everything is there.
    let kinds = |rows: Vec<Value>| {
        rows.iter()
            .map(|row| row["kind"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(lives.rows("run_steps").await), ["test.read"]);
    assert_eq!(kinds(lives.rows("run_intents").await), ["test.effect"]);
    assert_eq!(kinds(lives.rows("run_events").await), ["started", "text"]);
    lives.stop().await;
}

/// How often the outside was asked, and what the guest was told, in each of four lives. The first dies after asking.
async fn four_lives(repeat: Repeat) -> Vec<(u32, Result<Value, String>)> {
    let mut lives = Lives::new().await;
    let mut told = Vec::new();
    let mut asked = 0;
    let mut keys = Vec::new();
    for life in 0..4 {
        let (mut journal, _record) = lives.next().await;
        if life == 0 {
            let Intended::Granted(intent) = journal
                .intend("test.effect", json!({ "n": 1 }), repeat)
                .await
                .unwrap()
            else {
                panic!("nobody was here before");
            };
            asked += 1;
            keys.push(intent.idempotency_key().to_owned());
            continue;
        }
        let answer = journal::effect(
            &mut journal,
            ("test.effect", repeat),
            &json!({ "n": 1 }),
            |intent| {
                asked += 1;
                keys.push(intent.idempotency_key().to_owned());
                async { Ok::<Value, String>(json!("done")) }
            },
            "indeterminate".to_owned(),
        )
        .await
        .unwrap();
        // What was recorded is durable before the next life begins.
        bulkhead_tests::host::eventually("the step is there", async || {
            lives.rows("run_steps").await.len() == 1
        })
        .await;
        told.push((asked, answer));
    }
    keys.dedup();
    assert_eq!(keys.len(), 1, "one key in all lives");
    lives.stop().await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_whose_outcome_nobody_knows_is_indeterminate() {
    let told = four_lives(Repeat::Unsafe).await;
    let unknown = || (1, Err("indeterminate".to_owned()));
    assert_eq!(
        told,
        [unknown(), unknown(), unknown()],
        "asked once, and the same answer ever after"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_with_a_key_is_repeated_under_it() {
    let told = four_lives(Repeat::Keyed).await;
    let done = || (2, Ok(json!("done")));
    assert_eq!(told, [done(), done(), done()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_behind_an_unfinished_generation_is_not_repeated() {
    let mut lives = Lives::new().await;
    let (mut journal, _record) = lives.next().await;
    let costs = Repeat::Costs { input_tokens: 5 };
    assert!(matches!(
        journal
            .intend("model.generate", json!({}), costs)
            .await
            .unwrap(),
        Intended::Granted(_)
    ));
    assert!(matches!(
        journal
            .intend("test.effect", json!({}), Repeat::Keyed)
            .await
            .unwrap(),
        Intended::Granted(_)
    ));
    let (mut journal, _record) = lives.next().await;
    let error = journal
        .intend("model.generate", json!({}), costs)
        .await
        .unwrap_err();
    assert_eq!(
        error.downcast_ref::<bulkhead::kit::Error>().unwrap().detail,
        "Step 1 is not recorded, but the effect 2 behind it is."
    );
    lives.stop().await;
}
