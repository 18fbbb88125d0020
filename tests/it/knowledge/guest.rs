//! What a guest gets: hits with handles of this run only, citations checked, the same again from the record.

use std::collections::VecDeque;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use bulkhead::guardrails::Guard;
use bulkhead::knowledge::guest::{CiteError, Context, View};
use bulkhead::sandbox::bindings::bulkhead::agent::knowledge::{Error, Hit, Host as _, Query};
use bulkhead::sandbox::{Answered, Begun, Host, Intended, Journal, Limits, Meter, Repeat, Ticket};
use bulkhead_tests::intent;
use serde_json::Value;

use super::Room;

/// A run's record in memory: answers what it holds, then writes on.
#[derive(Default)]
struct Tape {
    recorded: VecDeque<Value>,
    written: Vec<Value>,
    now: Option<time::OffsetDateTime>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

impl Journal for Tape {
    fn begin<'a>(&'a mut self, kind: &'static str, request: Value) -> Answer<'a, Begun> {
        assert_eq!(kind, "knowledge.search");
        let begun = match self.recorded.pop_front() {
            Some(response) => Begun::Recorded(Answered {
                seq: 1,
                response,
                ended_at: self.now.expect("the tape knows the time"),
            }),
            None => {
                let now = self.now.expect("the tape knows the time");
                Begun::Live(intent::ticket(kind, request, now))
            }
        };
        Box::pin(ready(Ok(begun)))
    }

    fn end<'a>(&'a mut self, _ticket: Ticket, response: Value, _ok: bool) -> Answer<'a, ()> {
        self.written.push(response);
        Box::pin(ready(Ok(())))
    }

    fn intend<'a>(
        &'a mut self,
        kind: &'static str,
        _request: Value,
        _repeat: Repeat,
    ) -> Answer<'a, Intended> {
        panic!("a search is no effect: {kind}");
    }

    fn arrive(&mut self, _ended_at: time::OffsetDateTime) {}

    fn pending(&self) -> usize {
        0
    }
}

struct Run {
    context: Context,
    host: Host,
    tape: Tape,
}

impl Run {
    fn new(room: &Room, recorded: Vec<Value>) -> Self {
        let now = room.clock.now();
        Self {
            context: Context::new(
                room.node("a"),
                room.org(),
                (Guard::new(Arc::default()), Default::default()),
            ),
            host: Host::new(Limits::default(), Meter::new(now), [7; 32]),
            tape: Tape {
                recorded: recorded.into(),
                written: Vec::new(),
                now: Some(now),
            },
        }
    }

    async fn search(&mut self, text: &str, limit: u32) -> Result<Vec<Hit>, Error> {
        let mut view = View {
            context: &mut self.context,
            host: &mut self.host,
            journal: &mut self.tape,
        };
        let query = Query {
            text: text.into(),
            limit,
            tags: Vec::new(),
        };
        view.search(query).await.expect("the run goes on")
    }
}

#[tokio::test]
async fn hits_can_be_cited_and_nothing_else() {
    let room = Room::new().await;
    let content = "# Parrots\n\nThe parrot eats walnuts, but never on Mondays.";
    let put = room.put(&room.node("a"), "parrot.md", content).await;
    let mut run = Run::new(&room, Vec::new());
    let hits = run
        .search("what does the parrot eat\0?", 8)
        .await
        .expect("it can be searched");
    assert_eq!(hits.len(), 1);
    assert_eq!(
        (hits[0].title.as_str(), hits[0].text.as_str()),
        ("Parrots", content)
    );
    let cited = run
        .context
        .cite(&hits[0].handle, Some("eats walnuts"))
        .expect("it stands there");
    assert_eq!(
        &content[cited.start_byte as usize..cited.end_byte as usize],
        "eats walnuts"
    );
    assert_eq!(cited.entry, put.entry.id.to_string());
    assert_eq!(cited.source.as_deref(), Some("parrot.md"));
    let whole = run
        .context
        .cite(&hits[0].handle, None)
        .expect("the passage is meant");
    assert_eq!(whole.quote, content);

    for quote in ["eats  walnuts", "eats almonds", ""] {
        assert_eq!(
            run.context.cite(&hits[0].handle, Some(quote)),
            Err(CiteError::NotInPassage)
        );
    }
    for handle in [
        "",
        "hit-0",
        "hit-2",
        "hit-01",
        "hit-+1",
        "hit-99999999999999999999",
        "HIT-1",
    ] {
        assert_eq!(
            run.context.cite(handle, None),
            Err(CiteError::UnknownHandle),
            "{handle}"
        );
    }
    let other = Run::new(&room, Vec::new());
    assert_eq!(
        other.context.cite(&hits[0].handle, None),
        Err(CiteError::UnknownHandle)
    );
}

#[tokio::test]
async fn a_replayed_search_answers_from_the_record_to_the_bit() {
    let room = Room::new().await;
    let node = room.node("a");
    for place in 0..5 {
        room.put(
            &node,
            &format!("{place}.md"),
            &format!("# Page {place}\n\n{}", "The walnut. ".repeat(place + 1)),
        )
        .await;
    }
    let mut run = Run::new(&room, Vec::new());
    let first = run.search("walnut", 3).await.expect("it can be searched");
    let again = run
        .search("walnut page", 32)
        .await
        .expect("it can be searched");
    // What is there now no longer matters.
    let entries = node
        .list(&room.caller, &Default::default())
        .await
        .expect("fine");
    for entry in entries.data {
        node.delete(&room.caller, entry.id)
            .await
            .expect("it is there");
    }
    let text = serde_json::to_string(&run.tape.written).expect("it is JSON");
    let mut replay = Run::new(&room, serde_json::from_str(&text).expect("it is JSON"));
    assert_eq!(replay.search("walnut", 3).await.expect("recorded"), first);
    assert_eq!(
        replay.search("walnut page", 32).await.expect("recorded"),
        again
    );
    let handles: Vec<&str> = first
        .iter()
        .chain(&again)
        .map(|hit| hit.handle.as_str())
        .collect();
    assert_eq!(
        handles,
        [
            "hit-1", "hit-2", "hit-3", "hit-4", "hit-5", "hit-6", "hit-7", "hit-8"
        ]
    );
    for handle in handles {
        assert_eq!(
            replay.context.cite(handle, None),
            run.context.cite(handle, None)
        );
    }
    assert!(
        replay
            .search("walnut", 3)
            .await
            .expect("live again")
            .is_empty()
    );
}

#[tokio::test]
async fn a_query_out_of_the_contracts_bounds_is_told_and_not_recorded() {
    let room = Room::new().await;
    let mut run = Run::new(&room, Vec::new());
    for (text, limit) in [("", 1), (&*"a".repeat(4097), 1), ("a", 0), ("a", 33)] {
        let refused = run
            .search(text, limit)
            .await
            .expect_err("it is out of bounds");
        assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    }
    assert!(run.tape.written.is_empty());
}
