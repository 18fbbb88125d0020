//! `bulkhead replay`, and the timeline of `bulkhead runs show`, against a host of the harness.

use bulkhead_tests::TestHost;
use serde_json::json;

use super::program::ended;
use super::verbs::{as_client, document};
use crate::guests::{ECHO, SLEEP};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_replayed_and_its_time_is_drawn() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "agent", &SLEEP).await;
    let events = client.run("agent", &json!({ "input": "30" })).await;
    let run = events[0].data["run"].as_str().unwrap();
    let shown = ended(as_client(
        &client,
        &host.url(),
        &["runs", "show", "agent", run],
    ))
    .await;
    assert_eq!(shown.status, 0, "{shown:?}");
    let step = |line: &&str| line.trim_start().starts_with("1 clock.sleep");
    let line = shown.stdout.lines().find(step).unwrap();
    assert!(line.contains(" ms ") && line.ends_with('█'), "{line}");
    assert!(
        shown.stdout.lines().all(|line| line.chars().count() <= 80),
        "a pipe is as wide as a page: {shown:?}"
    );
    assert!(!shown.stdout.contains('\x1b'), "and has no colours");

    let same = document(&host, &client, &["replay", "agent", run]).await;
    assert_eq!(
        (&same["same"], &same["differences"]),
        (&true.into(), &json!([]))
    );
    let words = ended(as_client(&client, &host.url(), &["replay", "agent", run])).await;
    let first = format!("{run} of v1, replayed on v1: no difference");
    assert_eq!(words.stdout.lines().next(), Some(first.as_str()));

    // A row that was altered by hand: the run is not what it said it was.
    sqlx::query("update run_events set data = replace(data::text, 'after', 'later')::json")
        .execute(host.db())
        .await
        .unwrap();
    let altered = ended(as_client(&client, &host.url(), &["replay", "agent", run])).await;
    assert_eq!(altered.status, 1, "{altered:?}");
    assert!(
        altered
            .stdout
            .contains("\ntext\n- beforelater\n+ beforeafter\n"),
        "{altered:?}"
    );
    sqlx::query("update run_events set data = replace(data::text, 'later', 'after')::json")
        .execute(host.db())
        .await
        .unwrap();

    host.deploy("acme", "agent", &ECHO).await;
    let on_two = ["replay", "agent", run, "--on", "v2"];
    let words = ended(as_client(&client, &host.url(), &on_two)).await;
    assert_eq!(words.status, 0, "{words:?}");
    for told in [
        "replayed on v2: ",
        "\ntext\n- beforeafter\n+ 30\n",
        "\nsteps: 1 → 0\n",
        "recorded  end_turn · 0+0 tokens · ",
    ] {
        assert!(words.stdout.contains(told), "{told} in {}", words.stdout);
    }
    let unknown = ended(as_client(
        &client,
        &host.url(),
        &["replay", "agent", run, "--on", "9"],
    ))
    .await;
    assert!(
        unknown.refusal(1).contains("[not_found, request "),
        "{unknown:?}"
    );
    host.stop().await;
}
