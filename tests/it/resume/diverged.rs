//! A journal that does not fit its run ends it, loudly, and says where.

use bulkhead_tests::logs;
use bulkhead_tests::provider::Answer;
use futures_util::future::LocalBoxFuture;

use super::{Pair, eventually, told};

/// A run that has a generation, a search and a text behind it, whose journal is altered before it is resumed.
fn altered(sql: &'static str) -> LocalBoxFuture<'static, String> {
    Box::pin(resumed_after(sql))
}

async fn resumed_after(sql: &'static str) -> String {
    logs::expect_errors("a host call failed");
    let script = vec![Answer::text("two "), Answer::text("again ")];
    let pair = Pair::new(
        "say one \nask what?\nsay three\nsleep 60000\nsay four",
        script,
        4,
    )
    .await;
    eventually("the step is there", async || {
        pair.written().await["steps"]
            .as_array()
            .is_some_and(|steps| !steps.is_empty())
    })
    .await;
    let changed = sqlx::query(sql).execute(pair.second.db()).await.unwrap();
    assert_eq!(changed.rows_affected(), 1, "{sql}");
    let events = pair.goes_on().await;
    assert_eq!(told(&events).last().unwrap(), "done host_error", "{sql}");
    let view = pair.show().await;
    let message = view["fault"]["message"].as_str().unwrap().to_owned();
    assert!(
        view["output"].as_str().unwrap().ends_with("two three"),
        "what was shown is kept"
    );
    pair.stop().await;
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_row_is_told() {
    let answer = r#"update run_steps set response = replace(response::text, 'two ', 'too ')::json"#;
    assert_eq!(altered(answer).await, "diverged: Step 1 was altered.");
    let kind = "update run_steps set kind = 'knowledge.search'";
    assert_eq!(
        altered(kind).await,
        "diverged: Step 1 was `knowledge.search`, the guest asked `model.generate`."
    );
    let digest = "update run_steps set request_digest = decode(repeat('00', 32), 'hex')";
    assert_eq!(
        altered(digest).await,
        "diverged: Step 1 asked `model.generate` something else before."
    );
    let said = r#"update run_events set data = '{"text":"won "}' where seq = 2"#;
    assert_eq!(altered(said).await, "diverged: Event 2 was another before.");
    let unreadable = r#"update run_steps set response = '7', response_digest = null"#;
    assert!(altered(unreadable).await.starts_with("diverged: "));
}
