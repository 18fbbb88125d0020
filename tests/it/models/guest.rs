//! What a guest sees, through the contract's own traits: a generation is recorded once its last chunk was taken, and a
//! second life of the run is given the same chunks without asking the provider.

use std::collections::VecDeque;
use std::sync::Arc;

use bulkhead::billing::{Gate, Meter};
use bulkhead::guardrails::Guard;
use bulkhead::kit::Error;
use bulkhead::models::guest::{Context, View, recorded_tokens};
use bulkhead::sandbox::bindings::bulkhead::agent::model::{
    self as wit, Host as _, HostGeneration as _,
};
use bulkhead::sandbox::{
    Answered, Begun, Host, Intended, Intent, Journal, Limits, Meter as SandboxMeter, Repeat, Ticket,
};
use bulkhead_tests::intent;
use bulkhead_tests::provider::{Answer, How};
use futures_util::future::BoxFuture;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use wasmtime::component::Resource;

use super::Room;

/// When a tape's answers were recorded.
const RECORDED: OffsetDateTime = datetime!(2026-01-02 03:04:06 UTC);

/// A journal that keeps what is recorded, and plays it when it was given some.
struct Tape {
    db: PgPool,
    /// For a test that takes the database away.
    granted: Option<Intent>,
    recorded: VecDeque<(Value, Value)>,
    taken: Vec<(Value, Value, bool)>,
    arrived: Option<OffsetDateTime>,
    /// How many generations were asked for.
    asked: i32,
}

impl Tape {
    fn new(room: &Room) -> Self {
        Self {
            db: room.pool.clone(),
            recorded: VecDeque::new(),
            taken: Vec::new(),
            arrived: None,
            granted: None,
            asked: 0,
        }
    }

    fn replay(self) -> Self {
        let recorded = self
            .taken
            .into_iter()
            .map(|(request, response, _)| (request, response));
        Self {
            recorded: recorded.collect(),
            taken: Vec::new(),
            arrived: None,
            granted: None,
            asked: 0,
            db: self.db,
        }
    }
}

impl Journal for Tape {
    fn begin<'a>(
        &'a mut self,
        kind: &'static str,
        _request: Value,
    ) -> BoxFuture<'a, wasmtime::Result<Begun>> {
        panic!("a model was asked without an intent: {kind}");
    }

    fn intend<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
        repeat: Repeat,
    ) -> BoxFuture<'a, wasmtime::Result<Intended>> {
        assert!(matches!(repeat, Repeat::Costs { input_tokens: 1.. }));
        self.asked += 1;
        let seq = self.asked;
        Box::pin(async move {
            if let Some((asked, response)) = self.recorded.pop_front() {
                assert_eq!(asked, request);
                return Ok(Intended::Recorded(Answered {
                    seq,
                    response,
                    ended_at: RECORDED,
                }));
            }
            if let Some(granted) = self.granted.take() {
                return Ok(Intended::Granted(granted));
            }
            let mut ticket = intent::ticket(kind, request, datetime!(2026-01-02 03:04:05 UTC));
            ticket.seq = seq;
            Ok(Intended::Granted(intent::granted(&self.db, ticket).await))
        })
    }

    fn end<'a>(
        &'a mut self,
        ticket: Ticket,
        response: Value,
        ok: bool,
    ) -> BoxFuture<'a, wasmtime::Result<()>> {
        assert_eq!(ticket.kind, "model.generate");
        self.taken.push((ticket.request, response, ok));
        Box::pin(async { Ok(()) })
    }

    fn arrive(&mut self, ended_at: OffsetDateTime) {
        self.arrived = Some(ended_at);
    }

    fn pending(&self) -> usize {
        0
    }
}

/// One life of a run.
struct Life {
    context: Context,
    host: Host,
    tape: Tape,
}

type Piece = Result<Option<wit::Chunk>, wit::Error>;

impl Life {
    fn new(room: &Room, tape: Tape) -> Self {
        let meter = SandboxMeter::new(datetime!(2026-01-02 03:04:05 UTC));
        Self {
            context: Context {
                models: room.models.clone(),
                org: room.org(),
                alias: "default".to_owned(),
                meter: Meter::new(),
                guard: Guard::new(Arc::default()),
                judge: None,
                gate: Gate::open(),
                trace: Default::default(),
            },
            host: Host::new(Limits::default(), meter, [7; 32]),
            tape,
        }
    }

    fn view(&mut self) -> View<'_> {
        View {
            context: &mut self.context,
            host: &mut self.host,
            journal: &mut self.tape,
        }
    }

    async fn generate(&mut self, request: wit::Request) -> Result<u32, wit::Error> {
        let generation = self.view().generate(request).await.unwrap();
        generation.map(|generation| generation.rep())
    }

    async fn next(&mut self, rep: u32) -> wasmtime::Result<Piece> {
        self.view().next(Resource::new_borrow(rep)).await
    }

    async fn drop(&mut self, rep: u32) {
        self.view().drop(Resource::new_own(rep)).await.unwrap();
    }

    /// At most `most` pieces, then the drop.
    async fn take(&mut self, question: &str, most: usize) -> Vec<Piece> {
        let rep = self.generate(asked(question)).await.unwrap();
        let mut pieces = Vec::new();
        while pieces.len() < most && !matches!(pieces.last(), Some(Ok(None) | Err(_))) {
            pieces.push(self.next(rep).await.unwrap());
        }
        self.drop(rep).await;
        pieces
    }
}

fn asked(question: &str) -> wit::Request {
    wit::Request {
        model: None,
        messages: vec![wit::Message {
            role: wit::Role::User,
            parts: vec![wit::Part::Text(question.to_owned())],
        }],
        tools: Vec::new(),
        max_tokens: None,
    }
}

#[tokio::test]
async fn a_second_life_is_given_the_same_chunks() {
    let room = Room::connected().await;
    let broken = Answer::text("a b c").how(How::Truncate(600));
    let refused = || Answer::status(400, "no");
    for (question, most, answer, ok) in [
        ("whole", usize::MAX, Answer::text("a b c"), true),
        ("dropped early", 2, Answer::text("a b c"), true),
        (
            "never read",
            0,
            Answer::text("a b c").how(How::HangAfterHead),
            true,
        ),
        ("broken", usize::MAX, broken, false),
        ("refused", usize::MAX, refused(), false),
    ] {
        room.provider.when(question, answer);
        let mut first = Life::new(&room, Tape::new(&room));
        let pieces = first.take(question, most).await;
        assert_eq!(first.tape.taken.len(), 1, "{question}");
        let (request, response, is_ok) = &first.tape.taken[0];
        assert_eq!(
            (request["alias"].as_str(), *is_ok),
            (Some("default"), ok),
            "{question}"
        );
        assert_eq!(response["ok"]["model"], "small");
        let asked_before = room.provider.requests().len();
        let used = first.context.meter.total();
        if most == usize::MAX {
            assert_eq!(recorded_tokens(&response.to_string()), used, "{question}");
        }
        let mut second = Life::new(&room, first.tape.replay());
        assert_eq!(second.take(question, most).await, pieces, "{question}");
        assert_eq!(room.provider.requests().len(), asked_before);
        assert!(second.tape.taken.is_empty());
        if most == usize::MAX {
            assert_eq!(second.context.meter.total(), used, "{question}");
        }
    }
}

#[tokio::test]
async fn more_than_the_record_holds_is_a_divergence() {
    let room = Room::connected().await;
    let mut first = Life::new(&room, Tape::new(&room));
    first.take("go", 1).await;
    let mut second = Life::new(&room, first.tape.replay());
    let rep = second.generate(asked("go")).await.unwrap();
    second.next(rep).await.unwrap().unwrap();
    let error = second.next(rep).await.unwrap_err();
    let cause = error.downcast_ref::<Error>().unwrap().chain();
    assert!(cause.contains("diverged"), "{cause}");
}

#[tokio::test]
async fn what_is_refused_is_recorded_or_never_asked() {
    let room = Room::open().await;
    let mut life = Life::new(&room, Tape::new(&room));
    let unknown = || wit::Request {
        model: Some("fast".to_owned()),
        ..asked("go")
    };
    let error = life.generate(unknown()).await.unwrap_err();
    assert!(matches!(&error, wit::Error::UnknownModel(text) if text.contains("`fast`")));
    assert_eq!(life.tape.taken.len(), 1);
    let mut again = Life::new(&room, life.tape.replay());
    assert_eq!(again.generate(unknown()).await.unwrap_err(), error);

    let large = again
        .generate(asked(&"x".repeat(1 << 20)))
        .await
        .unwrap_err();
    assert!(matches!(large, wit::Error::Invalid(_)));
    let odd = again
        .generate(wit::Request {
            messages: Vec::new(),
            ..asked("")
        })
        .await
        .unwrap_err();
    assert!(matches!(odd, wit::Error::Invalid(_)));
    assert!(again.tape.taken.is_empty());
    let far_too_large = again.view().generate(asked(&"x".repeat(3 << 20))).await;
    assert!(far_too_large.is_err(), "what crosses is limited, too");
}

#[tokio::test]
async fn the_hosts_own_failure_is_not_told() {
    let room = Room::open().await;
    let mut life = Life::new(&room, Tape::new(&room));
    life.tape.granted = Some(intent::to_generate(&room.pool).await);
    room.pool.close().await;
    let error = life.view().generate(asked("go")).await.unwrap_err();
    assert_eq!(error.downcast_ref::<Error>().unwrap().code.status, 503);
}
