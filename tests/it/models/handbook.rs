//! The main job without a model key: people's questions on the handbook, searched and answered by the offline model.
//! Each answer must hold the words that answer it.

use std::path::Path;

use bulkhead::knowledge::{self, Knowledge, ingest};
use bulkhead::models::Request;
use bulkhead::models::chat::{Message, Part, Passage, Role};
use bulkhead_tests::folder::Folder;

use super::Room;

/// As many as the support agent asks for.
const PASSAGES: u32 = 6;

impl Room {
    async fn handbook(&self, folder: &Folder) -> Knowledge {
        let knowledge = Knowledge::new(
            &self.base,
            knowledge::Config {
                index: folder.join("index"),
                ..knowledge::Config::default()
            },
        );
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        for file in ingest::collect(&docs, &ingest::Limits::default()).unwrap() {
            knowledge
                .put(&self.caller, None, file.read().unwrap())
                .await
                .unwrap();
        }
        knowledge
    }

    /// The question as the SDK's loop asks it.
    async fn answer(&self, knowledge: &Knowledge, question: &str) -> String {
        let query = knowledge::Query {
            text: question.to_owned(),
            limit: PASSAGES,
            tags: Vec::new(),
        };
        let hits = knowledge.search(self.org(), &query).await.unwrap();
        let passages = (1..).zip(hits).map(|(number, hit)| Passage {
            number,
            title: format!("{} > {}", hit.title, hit.heading),
            text: hit.text,
        });
        let parts = vec![
            Part::Passages(passages.collect()),
            Part::Text(question.to_owned()),
        ];
        let request = Request {
            messages: vec![Message {
                role: Role::User,
                parts,
            }],
            ..Request::default()
        };
        self.generate("default", request).await.text()
    }
}

/// A question as a person writes it, and words of the handbook that answer it.
const QUESTIONS: &[(&str, &str)] = &[
    ("how do i stop a run??", "bulkhead cancel"),
    ("How can I cancel a running agent?", "/cancel"),
    (
        "if i close the connection does the run go on?",
        "does not stop the run",
    ),
    ("what is fuel", "about one unit for each instruction"),
    ("how do i deploy my agent", "bulkhead deploy"),
    (
        "roll back to an older version",
        "makes the version stable that was stable before",
    ),
    ("list all runs", "newest first"),
    ("delete a document from knowledge", "DELETE"),
    ("my api key leaked what now", "revoke"),
    ("rotate keys", "Revoke the first key"),
    ("use ollama on my machine", "11434"),
    ("which interfaces can a guest import", "WASI 0.2"),
    ("can an agent open sockets", "no network"),
    ("how are organizations isolated", "404"),
    ("postgres not found", "apt install postgresql"),
    ("where do I see metrics in prometheus", "/metrics"),
    ("how do I back up", "Back up the PostgreSQL database"),
    ("give my agent a tool", "#[tool]"),
    ("idempotency key", "Idempotency-Key"),
    (
        "what happens to a run when the server crashes",
        "another host of the database",
    ),
];

#[tokio::test]
async fn people_are_answered_from_the_handbook() {
    let room = Room::open().await;
    let folder = Folder::new();
    let knowledge = room.handbook(&folder).await;
    let mut missed = Vec::new();
    for (question, words) in QUESTIONS {
        let answer = room.answer(&knowledge, question).await;
        assert!(
            answer.contains("[1]") || answer.contains("[2]"),
            "{question}\n{answer}"
        );
        if !answer.contains(words) {
            missed.push(format!("{question} ({words}):\n{answer}"));
        }
    }
    assert!(
        missed.len() * 100 <= QUESTIONS.len() * 10,
        "{}",
        missed.join("\n\n")
    );
    let stop = room.answer(&knowledge, QUESTIONS[0].0).await;
    assert!(stop.contains(QUESTIONS[0].1), "{stop}");
    let nothing = room
        .answer(&knowledge, "who painted the mona lisa in florence?")
        .await;
    assert!(nothing.starts_with("I found nothing about"), "{nothing}");
}
