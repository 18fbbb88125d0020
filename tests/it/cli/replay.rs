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

#[tokio::test(flavor = "multi_thread")]
async fn the_last_runs_are_a_report_to_promote_by() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    host.deploy("acme", "agent", &ECHO).await;
    for n in 0..3 {
        let input = format!("word {n}");
        host.clock().advance(std::time::Duration::from_millis(1));
        client.run("agent", &json!({ "input": input })).await;
    }
    client.upload("agent", &SLEEP.bytes()).await;
    let words = async |words: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        ended(as_client(&client, &host.url(), &words)).await
    };
    let same = words("replay agent --on v1 --last 50").await;
    assert_eq!(same.status, 0, "{same:?}");
    let first = "the last 3 runs of agent v1, replayed on v1: 3 the same, 0 but for what they used, 0 differ, 0 not compared";
    assert_eq!(same.stdout.lines().next(), Some(first));
    let other = words("replay agent --on v2 --last 2").await;
    assert_eq!(other.status, 1, "{other:?}");
    for told in [
        "the last 2 runs of agent v1, replayed on v2: 0 the same, 0 but for what they used, 2 differ, 0 not compared",
        "differs in  ",
        "- word 2\n+ before",
    ] {
        assert!(other.stdout.contains(told), "{told} in {}", other.stdout);
    }
    assert!(
        other.stderr.contains("bulkhead replay agent RUN --on v2"),
        "{other:?}"
    );
    let document = words("replay agent --on v2 --last 2 --output json").await;
    assert_eq!(document.status, 1, "{document:?}");
    assert_eq!(document.document()["differ"], 2);
    for (bad, status, says) in [
        ("replay agent --on v9 --last 2", 1, "[not_found, request "),
        ("replay agent --on v2 --last 0", 1, "must be 1 to 200"),
        ("replay agent --on v2 --last 1000000", 1, "must be 1 to 200"),
        (
            "replay agent run_1 --on v2 --last 2",
            2,
            "cannot be used with",
        ),
        ("replay agent --last 2", 2, "--on <vN>"),
        ("replay agent", 2, "<RUN>"),
        (
            "replay agent --on v2 --last many",
            2,
            "invalid value 'many'",
        ),
    ] {
        let refused = words(bad).await;
        assert_eq!(
            (refused.status, refused.stdout.as_str()),
            (status, ""),
            "{bad}"
        );
        assert!(refused.stderr.contains(says), "{bad}: {}", refused.stderr);
    }
    host.stop().await;
}
