//! Each invariant the database can answer for is violated once by hand, found by name, and told with the row it is about.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bulkhead::invariants::{CHECKED, check};
use bulkhead_tests::host::eventually;
use bulkhead_tests::provider::{Answer, Provider};
use bulkhead_tests::receiver::Receiver;
use bulkhead_tests::stripe::Stripe;
use bulkhead_tests::{Client, TestHost};
use serde_json::json;
use sqlx::PgPool;

use crate::billing::stripe::charge;
use crate::guests;

/// A statement that breaks an invariant of run `$1`, or, with an API key in it, of `$2`.
struct Planted {
    invariant: &'static str,
    by: &'static str,
    told: &'static str,
}

const fn planted(invariant: &'static str, by: &'static str, told: &'static str) -> Planted {
    Planted {
        invariant,
        by,
        told,
    }
}

const PLANTED: &[Planted] = &[
    planted("I1", "update run_events set kind = 'text' where run_id = $1 and kind = 'done'", "has 0 terminal events"),
    planted(
        "I1",
        "update run_events set kind = 'done' where run_id = $1 and seq = 2",
        "has 2 terminal events",
    ),
    planted("I2", "update run_events set seq = seq + 1 where run_id = $1 and kind = 'done'", "events numbered 1 to"),
    planted("I2", "delete from run_events where run_id = $1 and seq = 1", "the first is"),
    // A host that died, nobody takes its runs over.
    planted(
        "I3",
        "with dead as (insert into nodes select gen_random_uuid(), 'dead', now(), now() - interval '31 seconds' returning id)
         update runs set node_id = dead.id, state = 'running', ended_at = null, stop_reason = null from dead where runs.id = $1",
        "is running on a node last heard of",
    ),
    planted(
        "I3",
        "update runs set node_id = gen_random_uuid(), state = 'running', ended_at = null, stop_reason = null where id = $1",
        "is running on a node last heard of never",
    ),
    // Handed over, and nobody went on.
    planted(
        "I3",
        "update runs set node_id = '00000000-0000-0000-0000-000000000000', state = 'running', ended_at = null,
           stop_reason = null, wake_at = now() - interval '31 seconds' where id = $1",
        "is running",
    ),
    // Suspended, and nobody woke it.
    planted(
        "I3",
        "update runs set node_id = '00000000-0000-0000-0000-000000000000', state = 'suspended', ended_at = null,
           stop_reason = null, wake_at = now() - interval '31 seconds' where id = $1",
        "is suspended",
    ),
    planted("I4", "update runs set deaths = 1 where id = $1", "is under term 1 and saw 1 hosts die"),
    planted("I4", "update runs set term = 0 where id = $1", "is under term 0"),
    planted("I4", "update run_intents set attempt = 2 where run_id = $1", "was begun 2 times under 1 terms"),
    planted(
        "I4",
        "update run_steps set request_digest = 'another' where run_id = $1 and kind = 'model.generate'",
        "is the outcome of another effect than was begun",
    ),
    planted("I5", "delete from usage_records where run_id = $1", "its usage row says nothing"),
    planted("I5", "update usage_records set output_tokens = output_tokens + 1 where run_id = $1", "its usage row says"),
    planted("I5", "delete from usage_steps where run_id = $1", "its generations say 0+0"),
    planted(
        "I5",
        "with run as (select org_id from runs where id = $1)
         update usage_rollups set runs = runs + 1 where org_id = (select org_id from run)",
        "its sums say",
    ),
    planted(
        "I6",
        "update billing_rows set exports = 2, attempts = 2 where org_id = (select org_id from runs where id = $1)",
        "is exported and was exported 2 times in 2 attempts",
    ),
    planted(
        "I6",
        "update billing_rows set exports = 0 where org_id = (select org_id from runs where id = $1)",
        "is exported and was exported 0 times",
    ),
    // Exported, and about to be sent again.
    planted(
        "I6",
        "update billing_rows set state = 'waiting', settled_at = null, first_attempt_at = null
         where org_id = (select org_id from runs where id = $1)",
        "is waiting and was exported 1 times",
    ),
    planted(
        "I6",
        "delete from billing_rows where org_id = (select org_id from runs where id = $1) and meter = 'runs'",
        "its rows say 0",
    ),
    // The same usage under another identifier.
    planted(
        "I6",
        "insert into billing_rows (org_id, id, meter, day, value, at, state)
         select org_id, gen_random_uuid(), meter, day, value, at, 'waiting' from billing_rows
         where org_id = (select org_id from runs where id = $1) and meter = 'runs'",
        "reports 1 runs of",
    ),
    planted(
        "I6",
        "with r as (
           update billing_rows set value = value + 1
           where org_id = (select org_id from runs where id = $1) and meter = 'runs' returning org_id, day)
         update billing_days d set runs = runs + 1 from r where d.org_id = r.org_id and d.day = r.day",
        "its rows say 2, its sums 1",
    ),
    planted(
        "I6",
        "delete from billing_days where org_id = (select org_id from runs where id = $1)",
        "which nobody reports",
    ),
    planted("I9", "update usage_steps set org_id = gen_random_uuid() where run_id = $1", "usage of generations of run_"),
    planted(
        "I7",
        "update outbox set fanned_at = null, at = at - interval '2 minutes' where run_id = $1",
        "was passed by",
    ),
    planted(
        "I7",
        "update webhook_deliveries set state = 'waiting', next_at = at, ended_at = null
         where event_id in (select id from outbox where run_id = $1)",
        "which will not send it",
    ),
    planted(
        "I7",
        "update webhook_deliveries set status = 500 where event_id in (select id from outbox where run_id = $1)",
        "is delivered, and was answered 500",
    ),
    planted(
        "I7",
        "update webhook_deliveries set state = 'failed', status = null
         where event_id in (select id from outbox where run_id = $1)",
        "is given up after 1 attempts",
    ),
    planted("I9", "update run_intents set org_id = gen_random_uuid() where run_id = $1", "intents of run_"),
    planted("I9", "update run_events set org_id = gen_random_uuid() where run_id = $1", "events of run_"),
    planted("I10", "update runs set output = $2 where id = $1", "output or log of run_"),
    planted("I10", "update run_intents set request = to_json($2) where run_id = $1", "the intents of run_"),
    planted("I13", "update runs set version = 99 where id = $1", "names version 99"),
    planted("I13", "update runs set limits_digest = 'none' where id = $1", "names limits"),
    planted(
        "I14",
        "update runs set stop_reason = 'host_error', fault = '{\"message\": \"the host failed; its log has the cause\"}'
         where id = $1",
        "the host failed",
    ),
    planted(
        "I15",
        "update runs set state = 'blocked', stop_reason = 'blocked:max_tokens' where id = $1",
        "0 of 0 violations and 0 events",
    ),
    planted(
        "I15",
        "insert into guardrail_violations
         select org_id, gen_random_uuid(), agent_id, version, id, 'max_tokens', 'max_tokens=1', 'model', 'blocked', 'm', '{}', now()
         from runs where id = $1",
        "0 of 1 violations and 0 events",
    ),
    planted("I15", "update run_events set kind = 'blocked' where run_id = $1 and seq = 2", "and 1 events"),
    planted(
        "I15",
        "insert into outbox (org_id, id, topic, run_id, seq, at, data)
         select org_id, gen_random_uuid(), 'audit.flagged', id, 9, now(), '{}' from runs where id = $1",
        "0 and 1 notices",
    ),
    planted(
        "I16",
        "insert into conversations (org_id, id, agent_id, key_id, turns, open_run, created_at)
         select org_id, gen_random_uuid(), agent_id, created_by, 1, id, now() from runs where id = $1",
        "had 1 runs, and keeps 0 questions",
    ),
    planted(
        "I16",
        "update runs set conversation_id = gen_random_uuid(), state = 'running', ended_at = null, stop_reason = null
         where id = $1",
        "its conversation does not wait for it",
    ),
    planted(
        "I17",
        "insert into conversation_memory (org_id, conversation_id, key, value, run_id, written_at, hides_pii)
         select org_id, gen_random_uuid(), 'k', 'v', id, now(), false from runs where id = $1",
        "wrote, and is archived",
    ),
    planted(
        "I17",
        "with begun as (
           insert into conversations (org_id, id, agent_id, key_id, turns, created_at)
           select org_id, id, agent_id, created_by, 0, now() from runs where id = $1 returning org_id, id),
         of as (update runs set conversation_id = id where id = $1)
         insert into conversation_memory (org_id, conversation_id, key, value, run_id, written_at, hides_pii)
         select org_id, id, 'k', 'v', id, now(), false from begun",
        "did not write last",
    ),
];

/// A run with everything in it that an invariant is about.
async fn a_run(host: &TestHost) -> (Client, Provider, uuid::Uuid) {
    let client = host.client("acme").await;
    host.deploy("acme", "journey", &guests::JOURNEY).await;
    let provider = Provider::start().await;
    let connection = json!({
        "kind": "openai", "base_url": provider.base_url(), "api_key": "sk-test", "default_model": "m"
    });
    let put = client.put("/model-connections/default", &connection).await;
    assert!(put.status.is_success(), "{}", put.text);
    provider.script(vec![Answer::text("two words")]);
    let receiver = Receiver::start().await;
    let endpoint = json!({ "url": receiver.url("/"), "events": ["agent_run.completed"] });
    let made = client.post("/webhook-endpoints", &endpoint).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let run = client
        .start("journey", &json!({ "input": "say a\nask b?\nsay c" }))
        .await;
    client.resume("journey", &run, 0).await.rest().await;
    host.run_jobs().await;
    eventually("its end is told", async || {
        let told: bool = sqlx::query_scalar(
            "select exists (select from webhook_deliveries d join webhook_endpoints e on e.id = d.endpoint_id
               where d.state = 'delivered' and e.lease is null)",
        )
        .fetch_one(host.db())
        .await
        .unwrap();
        told
    })
    .await;
    let id = uuid::Uuid::parse_str(run.trim_start_matches("run_")).unwrap();
    (client, provider, id)
}

/// Breaks it in a copy of the database's rows, asks, and puts them back.
async fn found(db: &PgPool, planted: &Planted, run: uuid::Uuid, key: &str) -> Vec<String> {
    let tables = [
        "outbox",
        "webhook_endpoints",
        "webhook_deliveries",
        "runs",
        "run_events",
        "run_steps",
        "run_intents",
        "usage_records",
        "guardrail_violations",
        "usage_steps",
        "usage_unfolded",
        "usage_rollups",
        "billing_rows",
        "billing_days",
        "conversations",
        "conversation_memory",
    ];
    for table in tables {
        let keep = format!("create table kept_{table} as table {table}");
        sqlx::query(sqlx::AssertSqlSafe(keep))
            .execute(db)
            .await
            .unwrap();
    }
    let query = sqlx::query(planted.by).bind(run);
    let query = match planted.by.contains("$2") {
        true => query.bind(key),
        false => query,
    };
    assert!(
        query.execute(db).await.unwrap().rows_affected() > 0,
        "{}",
        planted.by
    );
    let violations = check(db).await.unwrap_or_else(|error| panic!("{error:?}"));
    for table in tables {
        for back in [
            format!("delete from {table}"),
            format!("insert into {table} table kept_{table}"),
            format!("drop table kept_{table}"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(back))
                .execute(db)
                .await
                .unwrap();
        }
    }
    violations
        .into_iter()
        .filter(|violation| violation.invariant == planted.invariant)
        .map(|violation| violation.detail)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_violation_is_found() {
    let stripe = Stripe::start().await;
    let url = stripe.url.clone();
    let host = TestHost::start_with(move |config| charge(config, &url)).await;
    stripe.at(host.clock());
    let (client, provider, run) = a_run(&host).await;
    host.run_jobs().await;
    let sound = check(host.db())
        .await
        .unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(sound, []);
    for planted in PLANTED {
        let found = found(host.db(), planted, run, &client.key).await;
        let named = found.iter().any(|detail| {
            // Sums, and what is reported of them, are of an organization's day, not of one run.
            let whose = detail.contains(&run.simple().to_string())
                || detail.starts_with("org_")
                || detail.starts_with("bill_");
            detail.contains(planted.told) && whose
        });
        assert!(named, "{}: {found:?} for {}", planted.invariant, planted.by);
        assert!(
            found.iter().all(|detail| !detail.contains(&client.key)),
            "the secret is not told"
        );
    }
    for (invariant, what) in CHECKED {
        let tried = PLANTED
            .iter()
            .any(|planted| planted.invariant == *invariant)
            // Of no run: `audit::rewritten` violates it.
            || *invariant == "I8";
        assert!(tried, "nothing violates {invariant}: {what}");
    }
    drop(provider);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_to_go_on_is_no_violation() {
    let host = TestHost::start().await;
    let (_client, provider, run) = a_run(&host).await;
    for state in ["running", "suspended"] {
        let planted = Planted {
            invariant: "I3",
            by: if state == "running" {
                "update runs set node_id = '00000000-0000-0000-0000-000000000000', state = 'running', ended_at = null,
                   stop_reason = null, wake_at = now() - interval '1 second' where id = $1"
            } else {
                "update runs set node_id = '00000000-0000-0000-0000-000000000000', state = 'suspended', ended_at = null,
                   stop_reason = null, wake_at = now() + interval '1 hour' where id = $1"
            },
            told: "",
        };
        assert_eq!(
            found(host.db(), &planted, run, "").await,
            [""; 0],
            "{state}"
        );
    }
    drop(provider);
    host.stop().await;
}
