//! A payment provider that speaks Stripe's HTTP and enforces what Stripe documents: keys, forms, idempotency keys that
//! stand for one answer, identifiers that are unique for a day, the window of timestamps. It misbehaves on order.

mod api;
mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bulkhead::kit::{Clock, Tasks};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use self::wire::Request;

pub const KEY: &str = "sk_test_51canary9a0fbe";

/// How the next request is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// 500, nothing done. It is the answer of its idempotency key from then on.
    Fail,
    /// It is done, and then 500, in the same way.
    DoAndFail,
    /// The connection closes, nothing done.
    Reset,
    /// It is done, and the connection closes without a word.
    DoAndReset,
    /// Nothing is done or ever said.
    Hang,
    /// It is done, and nothing is ever said.
    DoAndHang,
    /// It is done, and its answer breaks off in the middle.
    DoAndBreakOff,
    /// 429, to be asked again after so many seconds.
    Slow(u32),
    /// 401, with the key that was sent.
    Unauthorized,
    /// 400, nothing done.
    Refuse,
    /// 429, but not before the test lets it go; who asked is not waited for.
    SlowLate,
}

/// A meter event that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    pub customer: String,
    pub event: String,
    pub identifier: String,
    pub value: i64,
    pub at: OffsetDateTime,
}

#[derive(Default)]
struct State {
    clock: Option<Clock>,
    orders: VecDeque<How>,
    /// Every report for this customer fails.
    broken: Option<String>,
    /// Names of customers, with the organizations in their metadata.
    customers: BTreeMap<String, String>,
    answers: HashMap<String, Kept>,
    metered: Vec<(OffsetDateTime, Metered)>,
    asked: Vec<String>,
    under_way: BTreeMap<String, usize>,
    overlaps: Vec<String>,
    late: Arc<Notify>,
    wrong: Vec<String>,
}

/// What an idempotency key stands for.
struct Kept {
    at: OffsetDateTime,
    request: String,
    answer: (u16, Value),
}

/// On a port of its own, gone when dropped.
pub struct Stripe {
    pub url: String,
    state: Arc<Mutex<State>>,
    tasks: Tasks,
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

impl Stripe {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (state, tasks) = (Arc::<Mutex<State>>::default(), Tasks::current());
        let (shared, spawner) = (Arc::clone(&state), tasks.clone());
        tasks.spawn(async move {
            loop {
                let stream = tokio::select! {
                    () = spawner.shutdown().cancelled() => return,
                    accepted = listener.accept() => accepted.expect("a file descriptor is free").0,
                };
                let (shared, stop) = (Arc::clone(&shared), spawner.shutdown().clone());
                spawner.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = converse(stream, &shared) => {}
                    }
                });
            }
        });
        Self { url, state, tasks }
    }

    /// Its time is the host's.
    pub fn at(&self, clock: &Clock) {
        self.state().clock = Some(clock.clone());
    }

    /// The next requests are treated so, one after the other.
    pub fn order(&self, how: &[How]) {
        self.state().orders.extend(how);
    }

    /// Every report for this customer fails from here on, or for none.
    pub fn breaks(&self, customer: Option<&str>) {
        self.state().broken = customer.map(str::to_owned);
    }

    /// Lets one late answer go.
    pub fn let_go(&self) {
        self.state().late.notify_one();
    }

    pub fn metered(&self) -> Vec<Metered> {
        let state = self.state();
        let taken = state.metered.iter();
        taken.map(|(_, metered)| metered.clone()).collect()
    }

    /// By name, with the organization each was made for.
    pub fn customers(&self) -> BTreeMap<String, String> {
        self.state().customers.clone()
    }

    /// Identifiers that were asked for, in order, again where they were.
    pub fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// Fails if a client did what Stripe's documentation forbids, or sent one identifier twice at one time.
    pub fn assert_well_used(&self) {
        let state = self.state();
        assert!(state.wrong.is_empty(), "misused: {:#?}", state.wrong);
        assert!(state.overlaps.is_empty(), "twice: {:#?}", state.overlaps);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state
        .lock()
        .expect("no test panics while it holds the state")
}

async fn converse(mut stream: TcpStream, state: &Mutex<State>) {
    while let Some(request) = wire::read(&mut stream).await {
        if !answer(&mut stream, &request, state).await {
            return;
        }
    }
}

fn told(message: &str) -> Value {
    json!({ "error": { "message": message } })
}

/// `false` where the connection closes.
async fn answer(stream: &mut TcpStream, request: &Request, state: &Mutex<State>) -> bool {
    let mut identifier = api::arrives(request, state);
    let how = lock(state).orders.pop_front();
    // Long enough for another to come in between.
    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    let failed = || (500, told("Something went wrong."));
    if how == Some(How::SlowLate) {
        api::leaves(identifier.take(), state);
        let late = Arc::clone(&lock(state).late);
        late.notified().await;
    }
    let (status, body, more) = match how {
        Some(How::Reset) => {
            api::leaves(identifier, state);
            return false;
        }
        Some(How::Hang) => {
            api::leaves(identifier, state);
            return std::future::pending().await;
        }
        Some(How::Slow(seconds)) => {
            let after = format!("retry-after: {seconds}\r\n");
            (429, told("Too many requests."), after)
        }
        Some(How::SlowLate) => (429, told("Too many requests."), String::new()),
        Some(How::Refuse) => (400, told("No such meter."), String::new()),
        Some(How::Unauthorized) => {
            let key = request.authorization();
            let message = format!("Invalid API Key provided: {key}, {}", hex::encode(key));
            (401, told(&message), String::new())
        }
        Some(How::Fail) => {
            let (status, body) = api::keep(request, failed(), state);
            (status, body, String::new())
        }
        Some(How::DoAndFail) => {
            api::perform(request, state);
            let (status, body) = api::keep(request, failed(), state);
            (status, body, String::new())
        }
        _ => {
            let (status, body) = api::perform(request, state);
            (status, body, String::new())
        }
    };
    api::leaves(identifier, state);
    match how {
        Some(How::DoAndReset) => return false,
        Some(How::DoAndHang) => return std::future::pending().await,
        _ => {}
    }
    let text = body.to_string();
    let length = text.len() + usize::from(how == Some(How::DoAndBreakOff)) * 10;
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n"
    );
    let sent = stream.write_all(format!("{head}{text}").as_bytes()).await;
    sent.is_ok() && how != Some(How::DoAndBreakOff)
}
