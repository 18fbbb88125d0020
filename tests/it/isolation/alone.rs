//! The sandbox by itself: one store, one call; randomness is nothing but its seed, and slices are as long as they
//! say.

use std::future::{Future as _, poll_fn};
use std::time::Duration;

use bulkhead::sandbox::bindings::bulkhead::agent::types;
use bulkhead::sandbox::{AgentPre, Config, Host, Limits, Meter, Sandbox, invoke, wasi};
use bulkhead_tests::raw::{Import, Raw};
use time::OffsetDateTime;
use wasmtime::component::{Component, HasData, Linker};

type Ended = Result<types::Outcome, types::Failure>;

struct Guest(Host);

impl AsMut<Host> for Guest {
    fn as_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

impl invoke::Around for Guest {}

struct Nothing;

impl HasData for Nothing {
    type Data<'a> = Self;
}

impl types::Host for Nothing {}

/// A guest that answers 32 random bytes, each as one of 64 letters, in its error.
fn tells() -> Vec<u8> {
    let run = "(call $random (i64.const 32) (i32.const 600))
        (local.set $n (i32.load (i32.const 600)))
        (loop $letter
          (i32.store8 (local.get $n)
            (i32.add (i32.and (i32.load8_u (local.get $n)) (i32.const 63)) (i32.const 48)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $letter (i32.lt_u (local.get $i) (i32.const 32))))
        (i32.store8 (i32.const 512) (i32.const 1))
        (i32.store8 (i32.const 516) (i32.const 1))
        (i32.store (i32.const 520) (i32.load (i32.const 600)))
        (i32.store (i32.const 524) (i32.const 32))
        (i32.const 512)";
    Raw {
        imports: &[Import::Random],
        run,
        ..Raw::default()
    }
    .bytes()
}

fn sandbox() -> Sandbox {
    let config = Config {
        guests: 4,
        ..Config::default()
    };
    Sandbox::new(config).expect("an engine")
}

fn linked(sandbox: &Sandbox, bytes: &[u8]) -> AgentPre<Guest> {
    let component = Component::new(sandbox.engine(), bytes).expect("it compiles");
    let mut linker = Linker::<Guest>::new(sandbox.engine());
    wasi::add_to_linker(&mut linker).expect("WASI is linked");
    types::add_to_linker::<Guest, Nothing>(&mut linker, |_| Nothing).expect("types are linked");
    AgentPre::new(linker.instantiate_pre(&component).expect("it fits")).expect("it is an agent")
}

/// How the guest ended, what it used, and in how many polls.
async fn run(sandbox: &Sandbox, pre: &AgentPre<Guest>, seed: u8) -> (Ended, u64, u64) {
    let meter = Meter::new(OffsetDateTime::UNIX_EPOCH);
    let guest = Guest(Host::new(Limits::default(), meter.clone(), [seed; 32]));
    let turn = types::Turn {
        run: String::new(),
        messages: Vec::new(),
        started_at: 0,
    };
    let (sandbox, pre, wall) = (sandbox.clone(), pre.clone(), Duration::from_secs(60));
    let mut call = Box::pin(invoke::run(sandbox, pre, guest, turn, wall));
    let mut polls = 0;
    let ended = poll_fn(|cx| {
        polls += 1;
        call.as_mut().poll(cx)
    })
    .await;
    (ended.expect("it ends by itself"), meter.fuel(), polls)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_bytes() {
    let sandbox = sandbox();
    let pre = linked(&sandbox, &tells());
    let told = async |seed| match run(&sandbox, &pre, seed).await {
        (Err(types::Failure::Agent(text)), fuel, _) => (text, fuel),
        (other, ..) => panic!("it tells its bytes as an error: {other:?}"),
    };
    let first = told(1).await;
    assert_eq!(first.0.len(), 32);
    assert_eq!(told(1).await, first);
    let other = told(2).await;
    assert_ne!(other.0, first.0);
    assert_eq!(other.1, first.1, "chance costs what it costs");
}

/// A call that answers at once ends no slice, and begins none either.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_gives_way_however_often_it_calls() {
    let sandbox = sandbox();
    let slice = sandbox.config().slice_fuel;
    for (import, call) in [
        (Import::WasiClock, "(drop (call $wasi_now))"),
        (
            Import::Random,
            "(call $random (i64.const 8) (i32.const 600))",
        ),
    ] {
        let body = format!(
            "(loop $again
              {call}
              (local.set $n (i32.const 0))
              (loop $spin
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $spin (i32.lt_u (local.get $n) (i32.const 100))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get $i) (i32.const 5000))))
            (i32.const 512)"
        );
        let raw = Raw {
            imports: &[import],
            run: &body,
            ..Raw::default()
        };
        let pre = linked(&sandbox, &raw.bytes());
        let (ended, fuel, polls) = run(&sandbox, &pre, 1).await;
        assert!(ended.is_ok());
        let slices = fuel / slice;
        assert!(slices > 20, "{fuel} is enough fuel to tell");
        assert!(
            (slices * 9 / 10..=slices * 11 / 10 + 2).contains(&polls),
            "{polls} polls for {slices} slices of fuel"
        );
    }
}
