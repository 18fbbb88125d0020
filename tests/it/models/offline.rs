//! The built-in model: useful quotes with citations out of real pages, the same every time, honest where nothing fits.

use bulkhead::models::chat::{FinishReason, Message, Part, Passage, Role};
use bulkhead::models::{Chunk, Request};

use super::{Room, message, request};

const CANCELLING: &str = include_str!("../../../docs/cancelling-runs.md");
const LIMITS: &str = include_str!("../../../docs/limits.md");
const KNOWLEDGE: &str = include_str!("../../../docs/knowledge.md");

fn asked(question: &str, pages: &[(&str, &str)]) -> Request {
    let passages = (1..).zip(pages).map(|(number, (title, text))| Passage {
        number,
        title: (*title).to_owned(),
        text: (*text).to_owned(),
    });
    let user = Message {
        role: Role::User,
        parts: vec![
            Part::Passages(passages.collect()),
            Part::Text(question.to_owned()),
        ],
    };
    Request {
        messages: vec![message(Role::System, "Answer from the passages."), user],
        ..Request::default()
    }
}

const PAGES: &[(&str, &str)] = &[
    ("Limits", LIMITS),
    ("Cancelling a run", CANCELLING),
    ("Knowledge", KNOWLEDGE),
];

#[tokio::test]
async fn a_question_of_a_person_is_answered_with_cited_sentences() {
    let room = Room::open().await;
    for question in [
        "how do i stop a run??",
        "How can I abort my agent's run",
        "cancel run command",
    ] {
        let outcome = room.generate("default", asked(question, PAGES)).await;
        let text = outcome.text();
        assert!(
            text.contains("cancel") && text.contains("[2]"),
            "{question}\n{text}"
        );
        assert!(
            text.contains("/cancel`")
                || text.contains("bulkhead cancel")
                || text.contains("Ctrl-C"),
            "{text}"
        );
        let cited = text.matches(" [").count();
        assert!((2..=5).contains(&cited), "{text}");
        assert!(text.contains("offline model"), "{text}");
        assert!(outcome.chunks.len() > 3, "streamed: {outcome:?}");
        let finish = outcome.finish();
        let chars = text.chars().count() as u64;
        assert_eq!(
            (finish.reason, finish.output_tokens),
            (FinishReason::Stop, chars.div_ceil(4))
        );
        assert!(!finish.estimated && finish.input_tokens > 100);
        assert_eq!(outcome.meter.total().output, finish.output_tokens);
        let again = room.generate("default", asked(question, PAGES)).await;
        assert_eq!(again.chunks, outcome.chunks);
    }
    let text = room
        .generate(
            "default",
            asked("what is the limit of linear memory?", PAGES),
        )
        .await
        .text();
    assert!(text.contains("memory") && text.contains("[1]"), "{text}");
}

#[tokio::test]
async fn a_command_is_quoted_whole() {
    let room = Room::open().await;
    let page = "# Deploying\n\nDeploy with the CLI:\n\n```sh\nbulkhead deploy . --channel stable\n```\n\nIt prints the version.";
    let text = room
        .generate("default", asked("how to deploy?", &[("Deploying", page)]))
        .await
        .text();
    assert!(
        text.contains("Deploy with the CLI: [1]\n\n```sh\nbulkhead deploy . --channel stable\n```"),
        "{text}"
    );
}

#[tokio::test]
async fn where_nothing_fits_it_says_so() {
    let room = Room::open().await;
    for pages in [&[][..], PAGES] {
        let text = room
            .generate("default", asked("who won the world cup in 2018?", pages))
            .await
            .text();
        assert!(
            text.starts_with("I found nothing about “who won the world cup in 2018?”"),
            "{text}"
        );
        assert!(!text.contains(']'), "{text}");
    }
}

#[tokio::test]
async fn without_passages_it_says_what_it_is() {
    let room = Room::open().await;
    for question in ["hello there", "", "\u{0}\u{202e}", &"long ".repeat(10_000)] {
        let text = room.ask(question).await.text();
        assert!(
            text.contains("built-in offline model") && text.len() < 1_000,
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_limit_of_tokens_is_kept() {
    let room = Room::open().await;
    let mut asked = request("hello");
    asked.max_tokens = Some(3);
    let outcome = room.generate("default", asked).await;
    assert_eq!(outcome.text().chars().count(), 12);
    assert_eq!(outcome.finish().reason, FinishReason::MaxTokens);
    assert_eq!(outcome.finish().output_tokens, 3);
}

#[tokio::test]
async fn any_page_and_any_question_is_survived() {
    let room = Room::open().await;
    let hostile =
        "|".repeat(5_000) + &"[a](".repeat(500) + &"```\n".repeat(300) + &"a. B".repeat(2_000);
    let wide = "é🦀 ".repeat(4_000) + &"\u{301}".repeat(300);
    for page in [
        hostile.as_str(),
        wide.as_str(),
        "",
        "\r\n\r",
        "#",
        "- ",
        "1. ",
    ] {
        for question in ["how?", "é🦀", "a b c", "stop", ""] {
            let outcome = room
                .generate("default", asked(question, &[("", page), ("t", page)]))
                .await;
            assert!(matches!(outcome.chunks.last(), Some(Chunk::Finish(_))));
        }
    }
}
