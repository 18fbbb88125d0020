//! What guardrails cost: a verdict of each deterministic kind on 8 kB, redaction as a stream and whole, and the verdict
//! of a guardrail component. `-- 20` asks for another number of rounds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead::guardrails::redact::{self, Counts, Set, Stream};
use bulkhead::guardrails::{At, Checker, Guard, Judge, Of, Rules, component, parse};
use bulkhead::kit::{Clock, OrgId, Tasks};
use bulkhead::sandbox::{Begun, Config, Intended, Journal, Repeat, Sandbox, Scheduler, Ticket};
use bulkhead_benches::{Bench, percentile, show, table};
use bulkhead_tests::raw::judge::{ALLOW, BLOCK, REWRITE, judging};
use futures_util::future::BoxFuture;
use serde_json::Value;
use sqlx::types::Uuid;
use time::OffsetDateTime;
use wasmtime::component::Component;

const ROUNDS: usize = 10_000;
const BYTES: usize = 8 << 10;
/// Redacted in pieces of so many bytes.
const PIECE: usize = 64;

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let rounds = asked.unwrap_or(ROUNDS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        Box::pin(verdicts(rounds)).await;
        redaction(rounds);
        Box::pin(components(rounds / 5 + 1)).await;
    });
}

fn rules(strings: &[&str]) -> Arc<Rules> {
    Arc::new(parse(strings).0)
}

/// Eight thousand bytes of the same again and again.
fn text(of: &str) -> String {
    let mut text = of.repeat(BYTES / of.len() + 1);
    text.truncate(text.floor_char_boundary(BYTES));
    text
}

const PROSE: &str = "The harbor opens at six in the morning, and ships of up to 200 metres may enter with a pilot. ";
const PERSONAL: &str = "Write to jane.doe@example.com or +49 171 2345678; card 4111 1111 1111 1111, IBAN \
    DE89 3704 0044 0532 0130 00, from 192.168.10.20. ";
const CREDENTIALS: &str = "password=hunter22 and Authorization: Bearer abcdefghij0123456789, key sk-abcdefghijklmnop1234567890. ";
const RECORDS: &str =
    r#"{"id": 1234567, "name": "Jane", "mail": "jane@example.com", "api_key": "abcd1234"}, "#;

/// Texts as they come, and the worst that recognisers can be given.
const TEXTS: [(&str, &str); 10] = [
    ("prose", PROSE),
    ("personal data", PERSONAL),
    ("credentials", CREDENTIALS),
    ("JSON", RECORDS),
    ("worst: `4 4 4 …`", "4 "),
    ("worst: `1-1-1-…`", "1-"),
    ("worst: `a.a.a.…`", "a."),
    ("worst: `eyJaaaa-…`", "eyJaaaa-"),
    ("worst: `://a:a://…`", "://a:a"),
    ("worst: `password=…`", "password="),
];

async fn verdicts(rounds: usize) {
    let bench = Bench::start(|_| {}).await;
    let made = bench.host.app.identity.create_organization("acme").await;
    let (org, ..) = made.expect("the database is fresh");
    let mut rows = Vec::new();
    for (name, of) in TEXTS {
        let text = text(of);
        for (kind, set) in [("secrets.redact", Set::SECRETS), ("pii.redact", Set::ALL)] {
            let what = || {
                black_box(redact::text(set, black_box(&text), &mut Counts::default()));
            };
            rows.push(row((kind, name), &mut timed(rounds, what)));
        }
    }
    for (kind, rule) in [
        ("max_iterations", "max_iterations=4000000000"),
        ("max_tokens", "max_tokens=4000000000"),
        ("max_tool_calls", "max_tool_calls=4000000000"),
        ("require_tool_allowlist", "require_tool_allowlist=a,b,c,d"),
        ("require_citation", "require_citation"),
    ] {
        let guard = Guard::new(rules(&[rule]));
        let what = || {
            let _ = black_box(guard.generates(Some(7)));
            let _ = black_box(guard.generated(7));
            let _ = black_box(guard.starts("d"));
            let _ = black_box(guard.finishes());
        };
        rows.push(row((kind, "-"), &mut timed(rounds, what)));
    }
    let of = Of {
        org,
        agent: Uuid::from_u128(1),
        version: 1,
    };
    for (kind, rule) in [
        ("input_max_chars", "input_max_chars=100000"),
        ("rate: (one commit)", "rate:4000000000/day"),
    ] {
        let rules = rules(&[rule]);
        let mut taken = Vec::with_capacity(rounds);
        for _ in 0..rounds.min(2_000) {
            let mut input = text(PROSE);
            let began = Instant::now();
            let entered = bench
                .host
                .app
                .guardrails
                .enter(of, &rules, vec![&mut input]);
            entered.await.expect("it may enter");
            taken.push(began.elapsed());
        }
        rows.push(row((kind, "prose"), &mut taken));
    }
    bench.stop().await;
    table(
        "Verdicts on 8 kB",
        &format!(
            "`cargo bench --bench guardrails`: {rounds} verdicts of each kind (at most 2,000 at the entry), one at a \
             time, in process; kinds that count are asked before and after a generation, before a tool and at the end."
        ),
        &["kind", "text", "p50", "p99", "max"],
        &rows,
    );
}

fn timed(rounds: usize, mut what: impl FnMut()) -> Vec<Duration> {
    for _ in 0..rounds / 10 {
        what();
    }
    let rounds = (0..rounds).map(|_| {
        let began = Instant::now();
        what();
        began.elapsed()
    });
    rounds.collect()
}

fn row((kind, text): (&str, &str), taken: &mut [Duration]) -> Vec<String> {
    let figures = [0.5, 0.99, 1.0].map(|share| show(percentile(taken, share)));
    [vec![kind.to_owned(), text.to_owned()], figures.to_vec()].concat()
}

fn redaction(rounds: usize) {
    let mut rows = Vec::new();
    for (name, of) in TEXTS {
        let text = text(of);
        let rate = |what: &dyn Fn()| {
            let began = Instant::now();
            (0..rounds / 10 + 1).for_each(|_| what());
            let bytes = (rounds / 10 + 1) * text.len();
            format!(
                "{:.0} MB/s",
                bytes as f64 / began.elapsed().as_secs_f64() / 1e6
            )
        };
        let whole = rate(&|| {
            black_box(redact::text(Set::ALL, &text, &mut Counts::default()));
        });
        let pieces = |bytes: usize| {
            let mut stream = Stream::new(Set::ALL);
            for piece in text.as_bytes().chunks(bytes) {
                black_box(stream.push(piece));
            }
            black_box(stream.end());
        };
        let (some, each) = (rate(&|| pieces(PIECE)), rate(&|| pieces(1)));
        rows.push(vec![name.to_owned(), whole, some, each]);
    }
    table(
        "Redaction of everything",
        "`cargo bench --bench guardrails`: personal data and credentials in 8 kB, on one thread; whole, as a stream in \
         pieces of 64 bytes, and byte by byte.",
        &["text", "whole", "in 64-byte pieces", "byte by byte"],
        &rows,
    );
}

/// Nothing is recorded: every verdict is asked for.
struct Nothing(i32);

impl Journal for Nothing {
    fn begin<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
    ) -> BoxFuture<'a, wasmtime::Result<Begun>> {
        self.0 += 1;
        let ticket = Ticket {
            seq: self.0,
            kind,
            request,
            fuel_before: 0,
            started_at: OffsetDateTime::UNIX_EPOCH,
            left: None,
        };
        Box::pin(async move { Ok(Begun::Live(ticket)) })
    }

    fn intend<'a>(
        &'a mut self,
        _kind: &'static str,
        _request: Value,
        _repeat: Repeat,
    ) -> BoxFuture<'a, wasmtime::Result<Intended>> {
        Box::pin(async { Err(wasmtime::Error::msg("verdicts have no effects")) })
    }

    fn end<'a>(
        &'a mut self,
        _ticket: Ticket,
        response: Value,
        _ok: bool,
    ) -> BoxFuture<'a, wasmtime::Result<()>> {
        black_box(response);
        Box::pin(async { Ok(()) })
    }

    fn arrive(&mut self, _ended_at: OffsetDateTime) {}

    fn pending(&self) -> usize {
        0
    }
}

async fn components(rounds: usize) {
    let sandbox = Sandbox::new(Config::default()).expect("the engine starts");
    let runtime = tokio::runtime::Handle::current();
    let scheduler = Scheduler::start(2, sandbox.config().slice_fuel, &runtime).expect("threads");
    let mut rows = Vec::new();
    for (name, body) in [("allow", ALLOW), ("rewrite", REWRITE), ("block", BLOCK)] {
        let judge = judge((&sandbox, &scheduler), body);
        let words = text(PROSE);
        let mut taken = Vec::with_capacity(rounds);
        for round in 0..rounds + rounds / 10 {
            let (words, mut journal) = (words.clone(), Nothing(0));
            let began = Instant::now();
            let said = judge.judge(&mut journal, (At::Output, None), words).await;
            let took = began.elapsed();
            assert_eq!(said.is_err(), name == "block", "{said:?}");
            if round >= rounds / 10 {
                taken.push(took);
            }
        }
        rows.push(row((name, "prose"), &mut taken));
    }
    scheduler.close();
    table(
        "Verdicts of a guardrail component on 8 kB",
        &format!(
            "`cargo bench --bench guardrails`: {rounds} verdicts, one at a time: a fresh instance in a slot of the \
             scheduler, the text in, the verdict out; without the statement that finds the stable version, and the step."
        ),
        &["verdict", "text", "p50", "p99", "max"],
        &rows,
    );
}

fn judge((sandbox, scheduler): (&Sandbox, &Scheduler), body: &str) -> Judge {
    let bytes = judging(body);
    let compiled = Component::new(sandbox.engine(), &bytes).expect("the guardrail compiles");
    let load: component::Load = Arc::new(move |_, _| {
        let compiled = compiled.clone();
        Box::pin(async move { Ok(([7; 32], compiled)) })
    });
    let times = (&Tasks::current(), &Clock::system());
    let config = bulkhead::guardrails::Config::default();
    let checker = Checker::new((sandbox, scheduler), times, load, config).expect("it links");
    Judge {
        checker,
        org: OrgId(Uuid::nil()),
        guard: Guard::new(rules(&["component=judge"])),
        agent: "agent".to_owned(),
        trace: bulkhead::kit::Trace::default(),
    }
}
