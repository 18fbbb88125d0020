//! `bulkhead audit` from its command line: lists, files, and an export checked with no host at all.

use bulkhead_tests::TestHost;
use bulkhead_tests::folder::Folder;

use super::export::sign;
use crate::cli::program::run;

#[tokio::test(flavor = "multi_thread")]
async fn lists_exports_and_checks() {
    let host = TestHost::start().await;
    let client = host.client("acme").await;
    let (url, folder) = (host.url(), Folder::new());
    let of = ["--url", &url, "--org", "acme", "--key", &client.key];
    let listed = run(&[&["audit", "list", "--action", "api_key.created"], &of[..]].concat()).await;
    assert_eq!(listed.status, 0, "{listed:?}");
    assert!(
        listed.stdout.contains("api_key.created")
            && !listed.stdout.contains("organization.created")
    );
    sign(&host).await;
    let named = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (csv, jsonl) = (named("audit.csv"), named("audit.jsonl"));
    for file in [&csv, &jsonl] {
        let done = run(&[&["audit", "export", file], &of[..]].concat()).await;
        assert_eq!(done.status, 0, "{done:?}");
    }
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), 3);
    let kept = host.data().join("audit-checkpoints.jsonl");
    let kept = kept.to_str().unwrap();
    let sound = run(&[
        "audit",
        "verify",
        &jsonl,
        "--checkpoints",
        kept,
        "--output",
        "json",
    ])
    .await;
    let document = sound.document();
    assert_eq!(document["rows"], 2);
    assert_eq!(
        document["checkpoints"],
        serde_json::json!({ "inside": 1, "outside": 1 })
    );
    assert_eq!(document["pinned"], true);
    let text = std::fs::read_to_string(&jsonl).unwrap();
    std::fs::write(&jsonl, text.replace("first admin key", "other admin key")).unwrap();
    let refused = run(&["audit", "verify", &jsonl]).await;
    assert!(
        refused.refusal(1).contains("row 2 is not what"),
        "{refused:?}"
    );
    let missing = run(&["audit", "verify", "none.jsonl"]).await;
    assert!(
        missing.refusal(1).contains("none.jsonl cannot be read"),
        "{missing:?}"
    );
    let narrowed = [&["audit", "export", &jsonl, "--status", "done"], &of[..]].concat();
    assert!(
        run(&narrowed)
            .await
            .refusal(2)
            .contains("cannot be narrowed")
    );
    let unnamed = [&["audit", "export", "audit"], &of[..]].concat();
    assert!(run(&unnamed).await.refusal(2).contains(".csv or .jsonl"));
    host.stop().await;
}
