//! A webhook receiver that speaks real HTTP, keeps what it was sent to the byte, and misbehaves on order: silent, slow,
//! redirecting, without end. Every test that delivers has one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bulkhead::kit::Tasks;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Got {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Got {
    pub fn header(&self, name: &str) -> String {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// `webhook-id`.
    pub fn id(&self) -> String {
        self.header("webhook-id")
    }

    /// What happened.
    pub fn topic(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }
}

/// How it answers.
#[derive(Clone, Debug)]
pub enum How {
    Status(u16),
    /// With a header.
    With(u16, &'static str, String),
    /// With this body.
    Saying(u16, String),
    /// Reads the request and says nothing.
    Silent,
    /// The status after a while.
    After(Duration, u16),
    /// A success whose body does not end before this many bytes.
    Endless(u64),
    /// Closes the connection.
    Closes,
    /// What is no HTTP.
    Garbage,
}

/// A receiver on a port of its own, gone when dropped.
#[derive(Debug)]
pub struct Receiver {
    url: String,
    shared: Arc<Shared>,
    tasks: Tasks,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    arrived: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    script: VecDeque<How>,
    always: How,
    got: Vec<Got>,
    /// Bytes of endless bodies that were taken.
    taken: u64,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("the listener is bound");
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                script: VecDeque::new(),
                always: How::Status(200),
                got: Vec::new(),
                taken: 0,
            }),
            arrived: watch::Sender::new(0),
        });
        let tasks = Tasks::current();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        Self {
            url: format!("http://{address}"),
            shared,
            tasks,
        }
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The answers to come, in order; after them what it always says.
    pub fn script(&self, answers: impl IntoIterator<Item = How>) {
        self.shared.state().script.extend(answers);
    }

    pub fn always(&self, how: How) {
        self.shared.state().always = how;
    }

    pub fn got(&self) -> Vec<Got> {
        self.shared.state().got.clone()
    }

    pub fn topics(&self) -> Vec<String> {
        self.got().iter().map(Got::topic).collect()
    }

    /// Bytes of endless bodies that somebody took.
    pub fn taken(&self) -> u64 {
        self.shared.state().taken
    }

    /// Waits until `count` requests arrived.
    pub async fn arrived(&self, count: usize) {
        let mut arrived = self.shared.arrived.subscribe();
        let wait = arrived.wait_for(|arrived| *arrived >= count);
        let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
        assert!(
            waited.is_ok(),
            "{count} requests never came: {:?}",
            self.topics()
        );
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn receive(&self, got: Got) -> How {
        let mut state = self.state();
        state.got.push(got);
        let how = state.script.pop_front();
        let how = how.unwrap_or_else(|| state.always.clone());
        self.arrived.send_modify(|arrived| *arrived += 1);
        how
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
                _ = converse(stream, &shared) => {}
            }
        });
    }
}

/// Requests of one connection, until the sender or an answer ends it.
async fn converse(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let got = read_request(&mut stream, &mut bytes).await?;
        match shared.receive(got) {
            How::Status(status) => answer(&mut stream, status, "", "").await?,
            How::With(status, name, value) => {
                answer(&mut stream, status, &format!("{name}: {value}\r\n"), "").await?;
            }
            How::Saying(status, body) => answer(&mut stream, status, "", &body).await?,
            How::After(wait, status) => {
                tokio::time::sleep(wait).await;
                answer(&mut stream, status, "", "").await?;
            }
            How::Silent => {
                // Until the sender gives up.
                while stream.read(&mut [0; 64]).await.ok()? > 0 {}
                return None;
            }
            How::Endless(bytes) => return endless(&mut stream, shared, bytes).await,
            How::Closes => return None,
            How::Garbage => return stream.write_all(b"220 smtp ready\r\n\r\n").await.ok(),
        }
    }
}

async fn endless(stream: &mut TcpStream, shared: &Shared, mut left: u64) -> Option<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {left}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    // No form of any secret begins so: a reply that is cut is not cut further.
    let piece = vec![b'.'; 64 << 10];
    while left > 0 {
        let written = stream.write(&piece).await.ok()? as u64;
        shared.state().taken += written;
        left = left.saturating_sub(written);
    }
    None
}

async fn answer(stream: &mut TcpStream, status: u16, header: &str, body: &str) -> Option<()> {
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status} Scripted\r\n{header}content-length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.ok()
}

/// The next request of a connection; what came behind it stays in `bytes`.
async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Got> {
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let headers: Vec<(String, String)> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    while bytes.len() < head_end + length {
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = bytes[head_end..head_end + length].to_vec();
    bytes.drain(..head_end + length);
    Some(Got {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        headers,
        body,
        at: Instant::now(),
    })
}
