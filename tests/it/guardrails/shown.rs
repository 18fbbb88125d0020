//! What clients are shown and what is stored: in every sink of a run, whole or cut at every byte, nothing is left of what
//! must not be there; and the run replays.

use bulkhead_tests::TestHost;
use bulkhead_tests::client::text;
use bulkhead_tests::provider::{Answer, Provider};
use serde_json::json;

use super::{connect, guarded, id, violations};
use crate::{guests, replay};

/// Everything that is stored of a run, as one text.
pub(super) async fn stored(host: &TestHost, run: &str) -> String {
    sqlx::query_scalar(
        "select concat((select to_json(r) from runs r where r.id = $1),
           (select json_agg(e.data) from run_events e where e.run_id = $1),
           (select json_agg(to_json(s)) from run_steps s where s.run_id = $1),
           (select json_agg(to_json(i)) from run_intents i where i.run_id = $1))",
    )
    .bind(id(run))
    .fetch_one(host.db())
    .await
    .expect("it can be read")
}

/// One credential of each class.
const CANARIES: [&str; 7] = [
    "bh_0123456789abcdef0123456789abcdef_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdE",
    "sk-canary0123456789canary0123456789",
    "AKIACANARY0123456789",
    "whsec_canary0123456789canary",
    "eyJjYW5hcnkiOiIxIn0.eyJjYW5hcnkiOiIxIn0.Y2FuYXJ5Y2FuYXJ5",
    "password=canary-hunter2",
    "Bearer canary0123456789canary",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_left_in_any_sink() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = guarded(&host, "journey", &guests::JOURNEY, &[]).await;
    connect(&client, &provider).await;
    for canary in CANARIES {
        let secret = canary
            .trim_start_matches("password=")
            .trim_start_matches("Bearer ");
        let middle = secret.len() / 2;
        let pieces = [
            "it is ",
            &canary[..canary.len() - secret.len() + middle],
            &secret[middle..],
            " ok",
        ];
        provider.forget();
        provider.script(vec![Answer::pieces(&pieces)]);
        let entry = json!({ "title": "Keys", "content": format!("The key of the harbor is {canary} always.") });
        assert!(
            client
                .post("/knowledge/entries", &entry)
                .await
                .status
                .is_success()
        );
        host.run_jobs().await;
        let input = format!(
            "status {canary}\nask about {canary}\nsearch key harbor\nsay {canary}\nfail {canary}"
        );
        let events = client.run("journey", &json!({ "input": input })).await;
        let run = events[0].data["run"]
            .as_str()
            .expect("it says which")
            .to_owned();
        assert!(text(&events).contains("[secret]"), "{}", text(&events));
        let all = stored(&host, &run).await;
        assert!(!all.contains(secret), "{canary} is stored: {all}");
        assert!(all.contains("[secret]"));
        for request in provider.requests() {
            assert!(
                !request.body.to_string().contains(secret),
                "{canary} was sent"
            );
        }
        let rows = violations(&client, &run).await;
        assert!(
            rows.iter()
                .all(|row| row["kind"] == "secrets.redact" && row["action"] == "redacted")
        );
        assert!(rows.iter().any(|row| row["at"] == "input"), "{rows:?}");
        assert!(!serde_json::to_string(&rows).expect("JSON").contains(secret));
        replay::is_the_same(&client, "journey", &run).await;
    }
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_is_kept_from_clients_wherever_it_is_cut() {
    let host = TestHost::start().await;
    let provider = Provider::start().await;
    let client = guarded(&host, "journey", &guests::JOURNEY, &["pii.redact"]).await;
    connect(&client, &provider).await;
    let said = "é mail jane@example.com, 4111 1111 1111 1111 日本.";
    let shown = "é mail [email], [card] 日本.";
    let cuts: Vec<usize> = (1..said.len())
        .filter(|cut| said.is_char_boundary(*cut))
        .collect();
    for cut in cuts {
        provider.forget();
        provider.script(vec![Answer::pieces(&[&said[..cut], &said[cut..]])]);
        let events = client
            .run(
                "journey",
                &json!({ "input": "ask x\nstatus jane@example.com" }),
            )
            .await;
        assert_eq!(text(&events), shown, "cut at {cut}");
        let run = events[0].data["run"]
            .as_str()
            .expect("it says which")
            .to_owned();
        let view = client.show("journey", &run).await;
        assert_eq!(view["output"], shown);
        assert!(
            !events.iter().any(|event| event.raw.contains("jane@")),
            "cut at {cut}"
        );
        // The journal is what the run's next life works with; who reads it is shown less.
        let steps = client
            .get(&format!("/agents/journey/runs/{run}/steps"))
            .await
            .text;
        assert!(
            steps.contains("[email]") && !steps.contains("jane@"),
            "{steps}"
        );
        replay::is_the_same(&client, "journey", &run).await;
        if cut == 3 {
            let rows = violations(&client, &run).await;
            assert_eq!(rows.len(), 1, "{rows:?}");
            assert_eq!(rows[0]["detail"], json!({ "email": 2, "card": 1 }));
            assert_eq!(
                (&rows[0]["at"], &rows[0]["rule"]),
                (&json!("output"), &json!("pii.redact"))
            );
        }
    }
    host.stop().await;
}
