//! A provider that misbehaves: silent, truncated at every byte, garbage, endless, echoing the key. Each ends in one
//! typed error, in bounded time and memory; and dropping a generation closes its socket.

use std::time::Duration;

use bulkhead::billing::Meter;
use bulkhead::kit::Random;
use bulkhead::models::{Chunk, Config};
use bulkhead_tests::intent;
use bulkhead_tests::provider::{Answer, How};
use serde_json::json;

use super::{KEY, Room, request};

const TEXT: &str = "Grüße, 🦀 — and \"quotes\" \\ too";

fn impatient() -> Config {
    Config {
        tries: 1,
        first_byte_ms: 100,
        idle_ms: 100,
        breaker_failures: u32::MAX,
        ..Config::for_test()
    }
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_whole_or_broken() {
    let room = Room::connected_with(Config {
        tries: 1,
        breaker_failures: u32::MAX,
        ..Config::for_test()
    })
    .await;
    let answer = Answer::text(TEXT);
    // What the provider would count for this request.
    let body = answer.body(4);
    let end_said = find(&body, b"\"stop\"");
    for at in 0..=body.len() {
        room.provider
            .script(vec![answer.clone().how(How::Truncate(at))]);
        let outcome = room.ask("go").await;
        match &outcome.error {
            None => {
                assert!(at > end_said, "whole at {at}");
                assert_eq!(outcome.text(), TEXT);
                let is_counted = !outcome.finish().estimated;
                assert_eq!(
                    is_counted,
                    at > find(&body, b"completion_tokens") + 20,
                    "at {at}"
                );
            }
            Some(_) => {
                outcome.broken();
                assert!(TEXT.starts_with(&outcome.text()), "at {at}");
                assert!(outcome.meter.total().estimated);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_in_single_bytes_reads_the_same() {
    let room = Room::connected().await;
    room.provider
        .script(vec![Answer::text(TEXT).how(How::SplitEveryByte)]);
    let outcome = room.ask("go").await;
    assert_eq!(outcome.text(), TEXT);
    assert!(!outcome.finish().estimated);
}

#[tokio::test]
async fn silence_ends_in_an_error() {
    let room = Room::connected_with(impatient()).await;
    room.provider.script(vec![
        Answer::text("x").how(How::HangBeforeHead),
        Answer::text("x").how(How::HangAfterHead),
        Answer::pieces(&["some text"]).how(How::HangAfter(260)),
    ]);
    let outcome = room.ask("go").await;
    assert!(
        outcome.refused().contains("did not answer within 0.1 s"),
        "{outcome:?}"
    );
    assert!(outcome.meter.total().estimated, "it may be at work");
    assert!(room.ask("go").await.broken().contains("silent"));
    let outcome = room.ask("go").await;
    assert!(outcome.broken().contains("silent"), "{outcome:?}");
    room.provider.closed(3).await;
}

#[tokio::test]
async fn a_generation_has_an_end_in_time() {
    let config = Config {
        total_ms: 200,
        ..Config::for_test()
    };
    let room = Room::connected_with(config).await;
    let slow = Answer::text(&"word ".repeat(100)).how(How::Drip(Duration::from_millis(20)));
    room.provider.script(vec![slow]);
    let outcome = room.ask("go").await;
    assert!(outcome.broken().contains("took longer"), "{outcome:?}");
    assert!(outcome.text().contains("word"));
    room.provider.closed(1).await;
}

#[tokio::test]
async fn what_has_no_end_is_cut() {
    let room = Room::connected_with(impatient()).await;
    for (how, why) in [
        (How::EndlessText, "answer is too large"),
        (How::EndlessLine, "event that is too large"),
        (How::EndlessComments, "answer is too large"),
    ] {
        room.provider
            .script(vec![Answer::text("x").how(how.clone())]);
        let outcome = room.ask("go").await;
        assert!(
            outcome.broken().contains(why),
            "{how:?}: {:?}",
            outcome.error
        );
        assert!(outcome.text().len() <= Config::for_test().answer_bytes_max);
    }
    room.provider.closed(3).await;
    let call = |index: u32| json!({ "choices": [{ "delta": { "tool_calls": [{ "index": index, "id": format!("c{index}") }] } }] });
    room.provider
        .script(vec![Answer::events((0..100).map(call).collect())]);
    assert!(room.ask("go").await.broken().contains("too many"));
}

#[tokio::test]
async fn garbage_is_an_error_and_never_more() {
    let room = Room::connected_with(impatient()).await;
    let random = Random::seeded(11);
    let good = Answer::text(TEXT).body(4);
    let mut bodies: Vec<Vec<u8>> = (0..60).map(|_| random.bytes::<300>().to_vec()).collect();
    // Good answers with a few bytes changed reach deeper than noise does.
    for _ in 0..200 {
        let mut body = good.clone();
        for spot in random.bytes::<4>().chunks(2) {
            let at = usize::from(u16::from_be_bytes([spot[0], spot[1]])) % body.len();
            body[at] = spot[1];
        }
        bodies.push(body);
    }
    for text in [
        "data: 5\n\n",
        "data: {\"choices\":5}\n\n",
        "data: {\"error\":{}}\n\n",
        "data:\n\n",
        "\r\r\r",
        "data: [DONE",
    ] {
        bodies.push(text.as_bytes().to_vec());
    }
    for body in bodies {
        room.provider
            .script(vec![Answer::text("x").how(How::Garbage(body.clone()))]);
        let outcome = room.ask("go").await;
        let ended = matches!(outcome.chunks.last(), Some(Chunk::Finish(_)));
        assert_ne!(
            ended,
            outcome.error.is_some(),
            "{}",
            String::from_utf8_lossy(&body)
        );
    }
}

#[tokio::test]
async fn a_key_that_is_echoed_is_not_shown() {
    let room = Room::connected().await;
    let (one, two) = KEY.split_at(9);
    room.provider.script(vec![
        Answer::pieces(&["Your key is ", one, two, " I think, sk-ca"]),
        Answer::tool_calls(&[("c", "tell", &format!("{{\"key\":\"{KEY}\"}}"))]),
        Answer::events(vec![json!({ "error": { "message": format!("no {KEY}") } })]),
    ]);
    assert_eq!(
        room.ask("go").await.text(),
        "Your key is [secret] I think, sk-ca"
    );
    assert!(!format!("{:?}", room.ask("go").await).contains(KEY));
    assert_eq!(room.ask("go").await.refused(), "no [secret]");
}

#[tokio::test]
async fn a_dropped_generation_closes_its_socket_at_once() {
    let room = Room::connected_with(Config {
        first_byte_ms: 60_000,
        idle_ms: 60_000,
        ..Config::for_test()
    })
    .await;
    for (round, how) in [
        How::HangBeforeHead,
        How::HangAfterHead,
        How::HangAfter(500),
        How::EndlessText,
    ]
    .into_iter()
    .enumerate()
    {
        room.provider
            .script(vec![Answer::text("one two three").how(how.clone())]);
        let meter = Meter::new();
        let intent = intent::to_generate(&room.pool).await;
        let started = room
            .models
            .generate(
                room.org(),
                "default",
                request("go"),
                (&meter, &intent, &Default::default()),
            )
            .await;
        let (_, mut stream) = started.unwrap();
        room.provider.received(round + 1).await;
        if matches!(how, How::HangAfter(_) | How::EndlessText) {
            assert!(matches!(stream.next().await, Ok(Some(Chunk::Text(_)))));
            assert!(meter.total().output > 0);
        }
        drop(stream);
        let closed =
            tokio::time::timeout(Duration::from_millis(100), room.provider.closed(round + 1));
        closed
            .await
            .unwrap_or_else(|_| panic!("{how:?} left its socket open"));
        assert!(meter.total().estimated, "what was received is billed");
    }
    assert_eq!(room.provider.closed_connections(), 4);
}

fn find(body: &[u8], text: &[u8]) -> usize {
    body.windows(text.len())
        .position(|part| part == text)
        .unwrap()
}
