//! What the sandbox costs: a fresh instance, the meters, and how fast a spinning guest is taken out among others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead::kit::{Clock, Random};
use bulkhead::sandbox::bindings::bulkhead::agent::types::{
    Failure, Message, Outcome, Speaker, Turn,
};
use bulkhead::sandbox::{
    AgentPre, Config, Fault, Host, Limits, Meter, Running, Sandbox, Scheduler, invoke, wasi,
};
use bulkhead_benches::{percentile, show, table};
use bulkhead_tests::guests::Guest;
use bulkhead_tests::raw::Raw;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Instance, Module, Store};

struct Bare(Host);

impl AsMut<Host> for Bare {
    fn as_mut(&mut self) -> &mut Host {
        &mut self.0
    }
}

impl invoke::Around for Bare {}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        instances().await;
        cancels().await;
        polite_runs().await;
    });
    meters();
}

fn sandbox(guests: u32) -> Sandbox {
    Sandbox::new(Config {
        guests,
        ..Config::default()
    })
    .expect("the engine starts")
}

fn pre(sandbox: &Sandbox, component: &[u8]) -> AgentPre<Bare> {
    let component = Component::new(sandbox.engine(), component).expect("the guest compiles");
    let mut linker = Linker::<Bare>::new(sandbox.engine());
    wasi::add_to_linker(&mut linker).expect("WASI links");
    linker
        .define_unknown_imports_as_traps(&component)
        .expect("the rest traps");
    AgentPre::new(linker.instantiate_pre(&component).expect("it links")).expect("it is an agent")
}

fn data() -> (Bare, Arc<Meter>) {
    let meter = Meter::new(Clock::system().now());
    let limits = Limits {
        fuel: u64::MAX / 4,
        ..Limits::default()
    };
    (
        Bare(Host::new(
            limits,
            Arc::clone(&meter),
            Random::system().bytes(),
        )),
        meter,
    )
}

/// A store, an instance, one call, all of it dropped again.
async fn instances() {
    const ROUNDS: usize = 20_000;
    let sandbox = sandbox(64);
    let pre = pre(&sandbox, &Guest::new("echo").bytes());
    let wall = Duration::from_secs(10);
    let mut samples = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS + 1_000 {
        let (bare, _) = data();
        let began = Instant::now();
        invoke::describe(sandbox.clone(), pre.instance_pre().clone(), bare, wall)
            .await
            .expect("it describes itself");
        if round >= 1_000 {
            samples.push(began.elapsed());
        }
    }
    let mean = samples.iter().sum::<Duration>() / ROUNDS as u32;
    table(
        "Fresh instance and a trivial call",
        "`cargo bench --bench sandbox`: store + instance of a Rust component + `describe()` + drop, 20,000 rounds on one \
         thread after 1,000 to warm up; fuel, epoch, limiter, call hook and WASI as in a run.",
        &["mean", "p50", "p99"],
        &[vec![
            show(mean),
            show(percentile(&mut samples, 0.5)),
            show(percentile(&mut samples, 0.99)),
        ]],
    );
}

/// Guests that spin for ever, of one tenant, and room for one more of another.
struct Crowd {
    sandbox: Sandbox,
    scheduler: Scheduler,
    spin: AgentPre<Bare>,
    guests: Vec<Spinning>,
}

type Spinning = Running<Result<Result<Outcome, Failure>, Fault>>;

impl Crowd {
    async fn gather(neighbours: usize) -> Self {
        let sandbox = sandbox(3_200);
        let spin = pre(&sandbox, &Guest::new("spin").bytes());
        let slice = sandbox.config().slice_fuel;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let scheduler = Scheduler::start(threads, slice, &tokio::runtime::Handle::current())
            .expect("threads start");
        let mut crowd = Self {
            sandbox,
            scheduler,
            spin,
            guests: Vec::new(),
        };
        crowd.guests = (0..neighbours).map(|_| crowd.run(1, &crowd.spin)).collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        crowd
    }

    fn run(&self, tenant: u128, pre: &AgentPre<Bare>) -> Spinning {
        let (bare, meter) = data();
        let wall = Duration::from_secs(3_600);
        let call = invoke::run(self.sandbox.clone(), pre.clone(), bare, turn(), wall);
        self.scheduler.spawn(tenant, meter, call)
    }

    async fn leave(self) {
        for mut guest in self.guests {
            guest.stop();
            guest.wait().await;
        }
        self.scheduler.close();
    }
}

const CROWDS: [usize; 4] = [0, 100, 1_000, 3_000];

/// How long from `stop` until the guest is gone, with others spinning.
async fn cancels() {
    const ROUNDS: usize = 300;
    let mut rows = Vec::new();
    for neighbours in CROWDS {
        let crowd = Crowd::gather(neighbours).await;
        let mut samples = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let mut victim = crowd.run(2, &crowd.spin);
            // At points of a slice that differ from round to round.
            tokio::time::sleep(Duration::from_micros(3_000 + (round as u64 * 37) % 1_000)).await;
            let began = Instant::now();
            victim.stop();
            victim.wait().await;
            samples.push(began.elapsed());
        }
        crowd.leave().await;
        rows.push(vec![
            neighbours.to_string(),
            show(percentile(&mut samples, 0.5)),
            show(percentile(&mut samples, 0.99)),
            show(percentile(&mut samples, 1.0)),
        ]);
    }
    table(
        "Cancel of a spinning guest in the engine",
        "From `stop` until the store is dropped, 300 rounds, victim and neighbours of different tenants, slices of 50,000 \
         fuel, one guest thread per core.",
        &["spinning neighbours", "p50", "p99", "max"],
        &rows,
    );
}

/// How long a polite tenant's run takes, with others spinning.
async fn polite_runs() {
    const ROUNDS: usize = 300;
    let steps = "(loop $again
        (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 1664525)) (i32.const 1013904223)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 1000000))))
      (i32.const 512)";
    let polite = Raw {
        run: steps,
        ..Raw::default()
    };
    let mut rows = Vec::new();
    for neighbours in CROWDS {
        let crowd = Crowd::gather(neighbours).await;
        let pre = pre(&crowd.sandbox, &polite.bytes());
        let mut samples = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let ended = crowd.run(2, &pre).wait().await;
            samples.push(began.elapsed());
            assert!(matches!(ended, Some(Ok(Ok(_)))), "it ends by itself");
        }
        crowd.leave().await;
        rows.push(vec![
            neighbours.to_string(),
            show(percentile(&mut samples, 0.5)),
            show(percentile(&mut samples, 0.99)),
            show(percentile(&mut samples, 1.0)),
        ]);
    }
    table(
        "A polite organization's run beside spinning guests of another",
        "A fresh instance and a run of 1,000,000 loop steps, 300 rounds one after the other, slices of 50,000 fuel, one \
         guest thread per core.",
        &["spinning neighbours", "p50", "p99", "max"],
        &rows,
    );
}

fn turn() -> Turn {
    let message = Message {
        speaker: Speaker::User,
        text: "x".to_owned(),
    };
    Turn {
        run: "run_0".to_owned(),
        messages: vec![message],
        started_at: 0,
    }
}

const LOOPS: [(&str, &str); 2] = [
    (
        "arithmetic",
        r#"(module (func (export "go") (param $n i64) (result i64) (local $x i64)
            (loop $l
              (local.set $x (i64.add (i64.mul (local.get $x) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
              (local.set $n (i64.sub (local.get $n) (i64.const 1)))
              (br_if $l (i64.ne (local.get $n) (i64.const 0))))
            (local.get $x)))"#,
    ),
    (
        "memory",
        r#"(module (memory 16) (func (export "go") (param $n i64) (result i64) (local $i i32)
            (loop $l
              (local.set $i (i32.and (i32.add (local.get $i) (i32.const 4104)) (i32.const 0xffff8)))
              (i64.store (local.get $i) (i64.add (i64.load (local.get $i)) (local.get $n)))
              (local.set $n (i64.sub (local.get $n) (i64.const 1)))
              (br_if $l (i64.ne (local.get $n) (i64.const 0))))
            (i64.load (local.get $i))))"#,
    ),
];

/// What fuel and the epoch backstop cost two loops, against neither.
fn meters() {
    const STEPS: i64 = 50_000_000;
    let mut rows = Vec::new();
    for (name, text) in LOOPS {
        let variants = [(false, false), (true, false), (false, true), (true, true)];
        // Interleaved, so that a drift of the machine's speed falls on all alike; the best of seven.
        let mut best = [Duration::MAX; 4];
        for _ in 0..7 {
            for (place, (fuel, epoch)) in variants.iter().enumerate() {
                best[place] = best[place].min(time_loop(text, STEPS, *fuel, *epoch));
            }
        }
        let ratio = |n: usize| format!("{:.2}x", best[n].as_secs_f64() / best[0].as_secs_f64());
        rows.push(vec![
            name.to_owned(),
            show(best[0]),
            ratio(1),
            ratio(2),
            ratio(3),
        ]);
    }
    table(
        "What the meters cost",
        "50,000,000 steps of two loops, best of seven interleaved rounds, against the same engine without fuel and epochs; \
         fuel yields every 50,000 units.",
        &["loop", "neither", "fuel", "epoch", "fuel and epoch"],
        &rows,
    );
}

fn time_loop(text: &str, steps: i64, fuel: bool, epoch: bool) -> Duration {
    let mut config = wasmtime::Config::new();
    config
        .consume_fuel(fuel)
        .epoch_interruption(epoch)
        .cranelift_nan_canonicalization(true);
    let engine = Engine::new(&config).expect("an engine");
    let module = Module::new(&engine, wat::parse_str(text).expect("the loop assembles"))
        .expect("it compiles");
    let mut store = Store::new(&engine, ());
    if fuel {
        store.set_fuel(u64::MAX / 2).expect("fuel is on");
        store
            .fuel_async_yield_interval(Some(50_000))
            .expect("fuel is on");
    }
    if epoch {
        store.set_epoch_deadline(1_000_000);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let instance = Instance::new_async(&mut store, &module, &[])
            .await
            .expect("it instantiates");
        let go = instance
            .get_typed_func::<i64, i64>(&mut store, "go")
            .expect("it exports go");
        let began = Instant::now();
        go.call_async(&mut store, steps).await.expect("it ends");
        began.elapsed()
    })
}
