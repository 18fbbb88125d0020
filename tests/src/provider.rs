//! A model provider that speaks real HTTP, counts tokens itself, remembers what it was asked and which connections
//! were closed on it, and misbehaves on order. Every test that needs a model's answer scripts one.

mod answer;
mod wire;

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bulkhead::kit::Tasks;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub use answer::{Answer, How};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub body: Value,
    pub authorization: Option<String>,
    pub traceparent: Option<String>,
    pub path: String,
}

/// One call as the provider would bill it.
#[derive(Clone, Debug)]
pub struct Call {
    pub question: String,
    /// Whose key it came with.
    pub authorization: Option<String>,
    pub input: u64,
    /// Words that were sent.
    pub output: u64,
    /// Its count was sent, and so heard by whoever was left.
    pub is_whole: bool,
    /// It has ended, one way or the other.
    pub has_ended: bool,
}

/// Tokens by the provider's own count, over every answer whose usage it sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub input: u64,
    pub output: u64,
}

/// A provider on a port of its own, gone when dropped.
#[derive(Debug)]
pub struct Provider {
    url: String,
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    state: Mutex<State>,
    /// Requests received and connections closed by the client, for waiting.
    progress: watch::Sender<(usize, usize)>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// What to answer to a question.
type Rule = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

#[derive(Default)]
struct State {
    /// Answers whatever is asked, before everything else.
    rule: Option<Rule>,
    script: VecDeque<Answer>,
    by_question: Vec<(String, Answer)>,
    requests: Vec<Received>,
    /// The same calls, as they are billed.
    calls: Vec<Call>,
    counted: Counted,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            progress: watch::Sender::new((0, 0)),
        });
        let tasks = Tasks::current();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        Self {
            url: format!("http://{address}/v1"),
            shared,
            tasks,
        }
    }

    /// What a connection's `base_url` is.
    pub fn base_url(&self) -> String {
        self.url.clone()
    }

    /// The answers to come, in order. After them, and without any, it answers "Hello from the provider."
    pub fn script(&self, answers: Vec<Answer>) {
        self.shared.state().script.extend(answers);
    }

    /// The answer whenever the last user message contains `text`; before the script.
    pub fn when(&self, text: &str, answer: Answer) {
        self.shared
            .state()
            .by_question
            .push((text.to_owned(), answer));
    }

    /// Answers every question by this rule, from now on.
    pub fn always(&self, rule: impl Fn(&str) -> Answer + Send + Sync + 'static) {
        self.shared.state().rule = Some(Arc::new(rule));
    }

    /// Forgets the answers to come.
    pub fn forget(&self) {
        let mut state = self.shared.state();
        state.script.clear();
        state.by_question.clear();
    }

    pub fn requests(&self) -> Vec<Received> {
        self.shared.state().requests.clone()
    }

    /// Every call, in the order of the requests.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// How many connections the client closed before their answer had ended.
    pub fn closed_connections(&self) -> usize {
        self.shared.progress.borrow().1
    }

    pub fn counted(&self) -> Counted {
        self.shared.state().counted
    }

    /// Waits until `count` requests arrived.
    pub async fn received(&self, count: usize) {
        let mut progress = self.shared.progress.subscribe();
        let arrived = progress.wait_for(|(requests, _)| *requests >= count).await;
        arrived.expect("the sender is ours");
    }

    /// Waits until the client closed `count` connections early.
    pub async fn closed(&self, count: usize) {
        let mut progress = self.shared.progress.subscribe();
        let closed = progress.wait_for(|(_, closed)| *closed >= count).await;
        closed.expect("the sender is ours");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Notes a request and picks its answer; the number of the call.
    fn receive(&self, received: Received, input: u64) -> (Answer, usize) {
        let question = last_user_message(&received.body);
        let mut state = self.state();
        let call = state.calls.len();
        state.calls.push(Call {
            question: question.clone(),
            authorization: received.authorization.clone(),
            input,
            output: 0,
            is_whole: false,
            has_ended: false,
        });
        let fits = |(text, _): &&(String, Answer)| question.contains(text.as_str());
        let answer = match state.by_question.iter().find(fits) {
            _ if state.rule.is_some() => state.rule.as_ref().map(|rule| rule(&question)),
            Some((_, answer)) => Some(answer.clone()),
            None => state.script.pop_front(),
        };
        state.requests.push(received);
        self.progress.send_modify(|(requests, _)| *requests += 1);
        let answer = answer.unwrap_or_else(|| Answer::text("Hello from the provider."));
        (answer, call)
    }

    /// What a call came to: the tokens whose count was sent, else the words of so many bytes of its body.
    fn ended(&self, call: usize, whole: Option<u64>, sent: u64) {
        let mut state = self.state();
        if let Some(call) = state.calls.get_mut(call) {
            (call.is_whole, call.has_ended) = (whole.is_some(), true);
            call.output = whole.unwrap_or(sent);
        }
    }

    fn closed_early(&self) {
        self.progress.send_modify(|(_, closed)| *closed += 1);
    }

    fn count(&self, input: u64, output: u64) {
        let counted = &mut self.state().counted;
        counted.input += input;
        counted.output += output;
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: Tasks) {
    loop {
        let stream = tokio::select! {
            () = tasks.shutdown().cancelled() => return,
            accepted = listener.accept() => accepted.expect("a file descriptor is free").0,
        };
        let (shared, shutdown) = (Arc::clone(&shared), tasks.shutdown().clone());
        tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = converse(stream, &shared) => {}
            }
        });
    }
}

/// One connection, one request, one answer: the end of the answer is the end of the connection.
async fn converse(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let Some(received) = wire::read_request(&mut stream).await else {
        return;
    };
    let input = tokens(&received.body);
    let (answer, call) = shared.receive(received, input);
    let (mut from, mut to) = stream.into_split();
    let sent = AtomicUsize::new(0);
    let ended = tokio::select! {
        ended = answer.perform(&mut to, input, &sent) => ended,
        () = wire::closed(&mut from) => None,
    };
    let sent = sent.load(Ordering::Relaxed);
    // Whoever has the count may go before the last byte.
    let whole = ended.flatten().or_else(|| answer.count_in(sent, input));
    shared.ended(call, whole, answer.words_in(sent, input));
    match (whole, ended) {
        (Some(output), _) => shared.count(input, output),
        (None, Some(_)) => {}
        (None, None) => shared.closed_early(),
    }
}

/// Its own way to count: a token for each word of each message, and three for its frame.
fn tokens(body: &Value) -> u64 {
    let messages = body["messages"].as_array().into_iter().flatten();
    let words = |message: &Value| 3 + words(message["content"].as_str().unwrap_or_default());
    messages.map(words).sum()
}

fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// What was asked last.
pub fn last_user_message(body: &Value) -> String {
    let mut messages = body["messages"].as_array().into_iter().flatten();
    let last = messages.rfind(|message| message["role"] == "user");
    last.and_then(|message| message["content"].as_str())
        .unwrap_or_default()
        .to_owned()
}
