//! The sandbox by itself: one store, one call, and randomness that is nothing but its seed.

use std::time::Duration;

use bulkhead::sandbox::bindings::bulkhead::agent::types;
use bulkhead::sandbox::{AgentPre, Config, Host, Limits, Meter, Sandbox, invoke, wasi};
use bulkhead_tests::raw::{Import, Raw};
use time::OffsetDateTime;
use wasmtime::component::{Component, HasData, Linker};

struct Guest(Host);

impl AsMut<Host> for Guest {
    fn as_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

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

async fn told(sandbox: &Sandbox, pre: &AgentPre<Guest>, seed: u8) -> (String, u64) {
    let meter = Meter::new(OffsetDateTime::UNIX_EPOCH);
    let guest = Guest(Host::new(Limits::default(), meter.clone(), [seed; 32]));
    let turn = types::Turn {
        run: String::new(),
        messages: Vec::new(),
        started_at: 0,
    };
    let ended = invoke::run(
        sandbox.clone(),
        pre.clone(),
        guest,
        turn,
        Duration::from_secs(60),
    )
    .await;
    match ended.expect("it ends by itself") {
        Err(types::Failure::Agent(text)) => (text, meter.fuel()),
        other => panic!("it tells its bytes as an error: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_gives_the_same_bytes() {
    let sandbox = Sandbox::new(Config {
        guests: 4,
        ..Config::default()
    })
    .expect("an engine");
    let component = Component::new(sandbox.engine(), tells()).expect("it compiles");
    let mut linker = Linker::<Guest>::new(sandbox.engine());
    wasi::add_to_linker(&mut linker).expect("WASI is linked");
    types::add_to_linker::<Guest, Nothing>(&mut linker, |_| Nothing).expect("types are linked");
    let pre = AgentPre::new(linker.instantiate_pre(&component).expect("it fits"))
        .expect("it is an agent");
    let first = told(&sandbox, &pre, 1).await;
    assert_eq!(first.0.len(), 32);
    assert_eq!(told(&sandbox, &pre, 1).await, first);
    assert_ne!(told(&sandbox, &pre, 2).await.0, first.0);
    assert_eq!(
        told(&sandbox, &pre, 2).await.1,
        first.1,
        "chance costs what it costs"
    );
}
