//! Runs under guardrails whose host dies: what was redacted, blocked or being judged is so on the next one, once; and
//! nobody is shown on the way what nobody was to see.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::Event;
use bulkhead_tests::provider::{Answer, How};
use bulkhead_tests::raw::judge::{ALLOW, BLOCK, HANG, REWRITE, judging};
use serde_json::{Value, json};

use super::{Guarded, Pair, eventually, input, numbered, told};
use crate::guardrails::violations;
use crate::guests;
use crate::replay::is_the_same;

const MAIL: &str = "jane@canary.example.com";
const CARD: &str = "4111 1111 1111 1111";
const SECRET: &str = "sk-canary0123456789canary0123456789";

/// What guardrails did, without what no two runs share, in one order.
async fn done(pair: &Pair, run: &str) -> Vec<Value> {
    let mut rows = violations(&pair.client, run).await;
    for row in &mut rows {
        let row = row.as_object_mut().unwrap();
        for name in ["id", "run", "created_at"] {
            row.remove(name);
        }
    }
    rows.sort_by_key(Value::to_string);
    rows
}

/// The same instructions on a host that lives.
async fn undisturbed(pair: &Pair, instructions: &str, script: Vec<Answer>) -> (Vec<Event>, String) {
    pair.provider.script(script);
    let events = pair.client.run("journey", &input(instructions)).await;
    let run = events[0].data["run"].as_str().unwrap().to_owned();
    (events, run)
}

/// Nothing that anybody may read has what was redacted.
async fn is_clean(pair: &Pair, events: &[Event]) {
    let path = format!("/agents/journey/runs/{}", pair.run);
    let steps = pair.client.get(&format!("{path}/steps")).await.text;
    let rows: String = sqlx::query_scalar(
        "select concat((select json_agg(e.data) from run_events e), (select json_agg(r.output) from runs r),
           (select json_agg(v) from guardrail_violations v), (select json_agg(o.data) from outbox o))",
    )
    .fetch_one(pair.second.db())
    .await
    .unwrap();
    let view = pair.show().await;
    // What it was asked is stored as it was asked; here it holds none of it.
    for secret in [MAIL, "jane@", CARD, "4111", SECRET, "0123456789canary"] {
        assert!(!events.iter().any(|event| event.raw.contains(secret)));
        assert!(!rows.contains(secret), "{secret}: {rows}");
        assert!(!steps.contains(secret), "{secret}: {steps}");
        assert!(!view.to_string().contains(secret), "{secret}: {view}");
    }
}

/// Somebody listens, so that what is told is kept.
async fn listens(host: &TestHost) {
    sqlx::query(
        "insert into webhook_endpoints (org_id, id, url, description, events, signature, secret_sealed, created_at,
           created_by, updated_at)
         select id, gen_random_uuid(), 'https://example.com', '', '{*}', 'standard', '', now(), id, now()
         from organizations where slug = 'acme'",
    )
    .execute(host.db())
    .await
    .unwrap();
}

async fn flagged(pair: &Pair) -> i64 {
    sqlx::query_scalar("select count(*) from outbox where topic = 'audit.flagged'")
        .fetch_one(pair.second.db())
        .await
        .unwrap()
}

async fn recorded(pair: &Pair, steps: usize) {
    eventually("its answers are recorded", async || {
        let written = pair.written().await;
        written["steps"].as_array().map_or(0, Vec::len) >= steps
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_redacted_is_redacted_again() {
    let instructions = "ask what?\nask more?\nsleep 1000\nask last?\nsay .";
    let script = || {
        vec![
            Answer::pieces(&["mail ja", "ne@canary.exa", "mple.com now "]),
            Answer::text(&format!("key {SECRET} ")),
            Answer::pieces(&["card 4111 1", "111 1111 1111 ok"]),
        ]
    };
    for guarded in [
        Guarded::by(&["pii.redact"]),
        Guarded::by(&["pii.redact", "component=judge"]).and(&judging(ALLOW)),
    ] {
        let pair = Pair::guarded(&guarded, instructions, script(), 1).await;
        recorded(&pair, 2).await;
        let events = pair.goes_on().await;
        numbered(&events);
        is_clean(&pair, &events).await;
        let (calm, other) = undisturbed(&pair, instructions, script()).await;
        let whole = |events: &[Event]| bulkhead_tests::client::text(events);
        assert_eq!(told(&events), told(&calm));
        assert_eq!(
            whole(&events),
            "mail [email] now key [secret] card [card] ok."
        );
        let rows = done(&pair, &pair.run).await;
        assert_eq!(rows, done(&pair, &other).await);
        let pii: Vec<&Value> = rows
            .iter()
            .filter(|row| row["kind"] == "pii.redact")
            .collect();
        assert_eq!(pii.len(), 1, "one row, whatever died: {rows:?}");
        assert_eq!(pii[0]["detail"], json!({ "email": 1, "card": 1 }));
        is_the_same(&pair.client, "journey", &pair.run).await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_back_is_not_shown_by_a_death() {
    let half = Answer::pieces(&["mail ", "jane@canary", ".example"]).how(How::HangAfter(700));
    let whole = Answer::pieces(&["mail ", "jane@canary", ".example.com", " now"]);
    let guarded = Guarded::by(&["pii.redact"]);
    let pair = Pair::guarded(&guarded, "ask what?\nsay .", vec![half, whole], 2).await;
    let events = pair.goes_on().await;
    is_clean(&pair, &events).await;
    assert_eq!(told(&events)[..3], ["started", "text mail ", "retract 2"]);
    let (view, text) = (
        pair.show().await,
        bulkhead_tests::client::text(&events[3..]),
    );
    assert_eq!(
        (text.as_str(), &view["output"]),
        ("mail [email] now.", &json!("mail [email] now."))
    );
    let rows = done(&pair, &pair.run).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        rows[0]["detail"],
        json!({ "email": 1 }),
        "what was withdrawn does not count"
    );
    is_the_same(&pair.client, "journey", &pair.run).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_blocked_is_blocked_once() {
    let instructions = "ask what?\ntool one\nsleep 1000\ntool two\nsay never";
    let script = || vec![Answer::text(&format!("mail {MAIL} "))];
    let guarded = Guarded::by(&["max_tool_calls=1", "pii.redact"]);
    let pair = Pair::guarded(&guarded, instructions, script(), 4).await;
    listens(&pair.second).await;
    let events = pair.goes_on().await;
    is_clean(&pair, &events).await;
    assert_eq!(flagged(&pair).await, 1);
    let written = pair.written().await;
    pair.second.run_jobs().await;
    assert_eq!(pair.written().await, written);
    let (calm, other) = undisturbed(&pair, instructions, script()).await;
    assert_eq!(told(&events), told(&calm));
    assert_eq!(
        events.last().unwrap().data["stop_reason"],
        "blocked:max_tool_calls"
    );
    let blocked = |events: &[Event]| {
        let by = events.iter().filter(|event| event.kind == "blocked");
        by.map(|event| event.data.clone()).collect::<Vec<_>>()
    };
    assert_eq!(blocked(&events).len(), 1);
    assert_eq!(blocked(&events), blocked(&calm));
    let rows = done(&pair, &pair.run).await;
    assert_eq!(rows, done(&pair, &other).await);
    let actions: Vec<&Value> = rows.iter().map(|row| &row["action"]).collect();
    assert_eq!(actions.len(), 2, "{rows:?}");
    assert!(actions.contains(&&json!("blocked")) && actions.contains(&&json!("redacted")));
    is_the_same(&pair.client, "journey", &pair.run).await;
    pair.stop().await;
}

/// The host died between the event that says so and the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_whose_end_was_lost_is_ended_once() {
    let host = TestHost::start().await;
    let rules = ["max_tool_calls=0", "pii.redact"];
    let client = crate::guardrails::guarded(&host, "journey", &guests::JOURNEY, &rules).await;
    let run = client.run("journey", &input("say a\ntool one")).await;
    let before: Vec<String> = run.iter().map(|event| event.raw.clone()).collect();
    let id = run[0].data["run"].as_str().unwrap().to_owned();
    for sql in [
        "delete from run_events where kind = 'done'",
        "delete from usage_records",
        "delete from guardrail_violations",
        "update runs set state = 'running', stop_reason = null, ended_at = null, output = null, receipt = null,
           blocked = null",
    ] {
        sqlx::query(sql).execute(host.db()).await.unwrap();
    }
    host.run_jobs().await;
    let events = client.resume("journey", &id, 0).await.rest().await;
    assert_eq!(told(&events), told(&run));
    let (last, but_last) = events.split_last().unwrap();
    let again: Vec<&String> = but_last.iter().map(|event| &event.raw).collect();
    assert_eq!(again, before[..before.len() - 1].iter().collect::<Vec<_>>());
    assert_eq!(last.data["stop_reason"], "blocked:max_tool_calls");
    let rows = violations(&client, &id).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        client.show("journey", &id).await["blocked"]["kind"],
        "max_tool_calls"
    );
    is_the_same(&client, "journey", &id).await;
    host.stop().await;
}

/// The host dies while the component judges: its verdict is asked for again, and counts once.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_being_judged_is_judged_again() {
    let at_output = |verdict: &str| {
        format!(
            "(if (result i32) (i32.eq (local.get $place) (i32.const 1)) (then {verdict}) (else {ALLOW}))"
        )
    };
    let rows = [
        (REWRITE, "rewritten", "end_turn", "rewritten"),
        (BLOCK, "", "blocked:component", "blocked"),
        (ALLOW, "a b c", "end_turn", ""),
    ];
    for (verdict, said, reason, action) in rows {
        for hangs in [HANG.to_owned(), at_output(HANG)] {
            let (verdict, hangs) = (at_output(verdict), judging(&hangs));
            let guarded = Guarded::by(&["component=judge"]).and(&hangs);
            let pair = Pair::guarded(&guarded, "say a b c", Vec::new(), 1).await;
            listens(&pair.second).await;
            let first = &pair.first.host().app.scheduler;
            eventually("it is judged", async || first.alive() == 2).await;
            // From now on its stable version comes to an end.
            pair.client.deploy("judge", &judging(&verdict)).await;
            let events = pair.goes_on().await;
            numbered(&events);
            assert_eq!(
                (
                    bulkhead_tests::client::text(&events).as_str(),
                    &events.last().unwrap().data["stop_reason"]
                ),
                (said, &json!(reason))
            );
            let written = pair.written().await;
            let steps = written["steps"].as_array().unwrap();
            assert_eq!(
                steps.len(),
                2,
                "one verdict on what was asked, one on what was said: {steps:?}"
            );
            let rows = done(&pair, &pair.run).await;
            let actions: Vec<&str> = rows
                .iter()
                .filter_map(|row| row["action"].as_str())
                .collect();
            assert_eq!(
                actions,
                if action.is_empty() {
                    vec![]
                } else {
                    vec![action]
                }
            );
            assert_eq!(flagged(&pair).await, i64::from(action == "blocked"));
            is_the_same(&pair.client, "journey", &pair.run).await;
            super::expect_fencing();
            pair.first_wakes().await;
            assert_eq!(
                pair.written().await,
                written,
                "the first host writes nothing more"
            );
            pair.stop().await;
        }
    }
}
