//! Questions as people write them, on the handbook itself: each must find the page that answers it.

use std::path::Path;

use bulkhead::knowledge::{Config, ingest};

use super::Room;

/// A question and the page of `docs/` that answers it.
const QUESTIONS: &[(&str, &str)] = &[
    ("how do i stop a run??", "cancelling-runs.md"),
    ("How can I cancel a running agent?", "cancelling-runs.md"),
    (
        "my agent spins in a loop, how to kill it",
        "cancelling-runs.md",
    ),
    ("abort a run with ctrl-c", "cancelling-runs.md"),
    ("what happens if I cancel twice", "cancelling-runs.md"),
    (
        "if i close the connection does the run go on?",
        "cancelling-runs.md",
    ),
    ("what is in the receipt after cancel", "cancelling-runs.md"),
    ("which events are in the stream", "events.md"),
    ("how do I resume a broken stream", "running-agents.md"),
    ("start a run with curl", "running-agents.md"),
    (
        "is it safe to send the same request again",
        "running-agents.md",
    ),
    ("list all runs", "running-agents.md"),
    ("too many runs at once", "running-agents.md"),
    ("what states can a run have", "runs-and-states.md"),
    ("what is fuel", "runs-and-states.md"),
    (
        "why did my run fail, whose fault is it",
        "runs-and-states.md",
    ),
    ("how do i deploy my agent", "deploying-versions.md"),
    ("roll back to an older version", "deploying-versions.md"),
    (
        "why was my upload refused with 422",
        "deploying-versions.md",
    ),
    ("make version 3 stable", "deploying-versions.md"),
    (
        "what happens when an agent uses too much memory",
        "limits.md",
    ),
    ("how long may a run take", "limits.md"),
    ("what is the fuel limit", "limits.md"),
    ("maximum upload size of a component", "limits.md"),
    ("how do I add my documents", "knowledge.md"),
    ("delete a document from knowledge", "knowledge.md"),
    ("how are citations checked", "knowledge.md"),
    ("my api key leaked what now", "api-keys.md"),
    ("which scopes does a key have", "api-keys.md"),
    ("create an api key", "api-keys.md"),
    ("rotate keys", "api-keys.md"),
    ("can I use it without a model key", "models.md"),
    ("connect openai compatible provider", "models.md"),
    ("how are tokens counted?", "models.md"),
    ("use ollama on my machine", "models.md"),
    ("what does the manifest contain", "the-contract.md"),
    ("which interfaces can a guest import", "the-contract.md"),
    ("can an agent open sockets", "security.md"),
    ("how are organizations isolated", "security.md"),
    ("is a replay deterministic", "replay-and-recovery.md"),
    (
        "what happens to a run when the server crashes",
        "replay-and-recovery.md",
    ),
    ("postgres not found", "troubleshooting.md"),
    ("port already in use", "troubleshooting.md"),
    ("agent says I found nothing", "troubleshooting.md"),
    ("my run is stuck in queued", "troubleshooting.md"),
    ("wasm32-wasip2 target missing", "troubleshooting.md"),
    ("where do I see metrics in prometheus", "operating.md"),
    ("how do I back up", "operating.md"),
    ("which environment variables are there", "operating.md"),
    ("run several hosts on one database", "operating.md"),
    ("how to stop the host", "operating.md"),
    ("how do I start bulkhead on my laptop", "getting-started.md"),
    ("ask a first question", "getting-started.md"),
    ("write my own agent in rust", "writing-agents.md"),
    ("give my agent a tool", "writing-agents.md"),
    ("how to test an agent", "testing-agents.md"),
    ("what can't an agent do", "writing-agents.md"),
    ("what does an error look like", "errors.md"),
    ("list of error codes", "errors.md"),
    ("idempotency key", "running-agents.md"),
];

#[tokio::test]
async fn people_find_the_page_that_answers_them() {
    let room = Room::new().await;
    let node = room.node_with(Config {
        index: room.folder.join("a"),
        ..Config::default()
    });
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for file in ingest::collect(&docs, &ingest::Limits::default()).expect("the handbook is there") {
        let entry = file.read().expect("it is UTF-8");
        node.put(&room.caller, None, entry)
            .await
            .expect("the handbook is fine");
    }
    let (mut first, mut third, mut missed) = (0, 0, Vec::new());
    for (question, page) in QUESTIONS {
        let sources = room.sources(&node, question).await;
        let place = sources.iter().position(|source| source == page);
        first += usize::from(place == Some(0));
        third += usize::from(place.is_some_and(|place| place < 3));
        if place != Some(0) {
            missed.push((question, place));
        }
    }
    let all = QUESTIONS.len();
    assert!(
        first * 100 >= all * 80,
        "{first} of {all} found first: {missed:#?}"
    );
    assert!(
        third * 100 >= all * 95,
        "{third} of {all} among the first three: {missed:#?}"
    );
    let stop = room.sources(&node, "how do i stop a run??").await;
    assert_eq!(stop[0], "cancelling-runs.md");
}
