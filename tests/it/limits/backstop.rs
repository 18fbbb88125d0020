//! The engine's backstop alone, with nobody to stop the guest: where the accounting of fuel fails, a guest is trapped
//! all the same, a second after its deadline.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails; figures are printed"
)]

use std::time::{Duration, Instant};

use bulkhead::sandbox::{Config, Fault, Host, Limit, Limits, Meter, Sandbox, invoke, wasi};
use bulkhead_tests::raw::Raw;
use time::macros::datetime;
use wasmtime::component::{Component, InstancePre, Linker};

struct Asked(Host);

impl AsMut<Host> for Asked {
    fn as_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

fn asked(fuel: u64) -> Asked {
    let limits = Limits {
        fuel,
        ..Limits::default()
    };
    let meter = Meter::new(datetime!(2026-11-20 09:00 UTC));
    Asked(Host::new(limits, meter, [0; 32]))
}

fn engine() -> Sandbox {
    let config = Config {
        guests: 1,
        // A slice that does not end: the guest never gives way.
        slice_fuel: i64::MAX as u64,
        ..Config::default()
    };
    Sandbox::new(config).unwrap()
}

fn describes(sandbox: &Sandbox, describe: &str) -> InstancePre<Asked> {
    let raw = Raw {
        describe,
        ..Raw::default()
    };
    let component = Component::new(sandbox.engine(), raw.bytes()).unwrap();
    let mut linker = Linker::new(sandbox.engine());
    wasi::add_to_linker::<Asked>(&mut linker).unwrap();
    linker.instance("bulkhead:agent/types@0.1.0").unwrap();
    linker.instantiate_pre(&component).unwrap()
}

#[tokio::test]
async fn a_guest_that_never_gives_way_is_trapped_a_second_late() {
    let sandbox = engine();
    let pre = describes(&sandbox, "(loop $ever (br $ever)) (i32.const 1024)");
    let began = Instant::now();
    let fuel = i64::MAX as u64;
    let ended = invoke::describe(sandbox, pre, asked(fuel), Duration::ZERO).await;
    let lived = began.elapsed();
    assert!(
        matches!(ended, Err(Fault::Limit(Limit::Epoch))),
        "{ended:?}"
    );
    assert_eq!(Limit::Epoch.key(), "wall_ms");
    // Not before: fuel, and whoever stops a guest, come first.
    assert!(lived >= Duration::from_secs(1), "{lived:?}");
    println!("the backstop took {lived:?}");
}

#[tokio::test]
async fn a_guest_that_ends_within_the_second_is_left_alone() {
    let sandbox = engine();
    let pre = describes(&sandbox, "(i32.const 1024)");
    let ended = invoke::describe(sandbox, pre, asked(1_000_000), Duration::ZERO).await;
    assert_eq!(ended.unwrap().manifest.unwrap().name, "raw");
}
