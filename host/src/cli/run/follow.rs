//! A run's events from its start to its end over however many connections it takes: a broken one is opened again at
//! the last event seen, so nothing is missed and nothing comes twice. Bounded: a host that stays away is told.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _, unfold};
use reqwest::header::LOCATION;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};
use uuid::Uuid;

use crate::cli::client::{Client, Opening, UNREACHABLE};
use crate::cli::terminal::Failure;
use crate::kit::{Clock, Ids, Random};

/// A host says something at least every 15 s; silence for this long is a broken connection.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Connections opened in vain, one after the other, before the host is given up.
const TRIES_MAX: u32 = 10;
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(3);

/// One event of the run.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Event {
    pub(in crate::cli) seq: i64,
    pub(in crate::cli) kind: String,
    pub(in crate::cli) data: Value,
}

type Events = Pin<Box<dyn Stream<Item = Result<Sse, String>> + Send>>;

/// Follows one run. Dropping a `next` that waits loses nothing.
pub(in crate::cli) struct Follow<'a> {
    client: &'a Client,
    agent: &'a str,
    new: &'a Value,
    /// Makes a repeated start the same start.
    key: String,
    run: Option<String>,
    seq: i64,
    events: Option<Events>,
    tries: u32,
    ended: bool,
}

impl<'a> Follow<'a> {
    pub(in crate::cli) fn new(client: &'a Client, agent: &'a str, new: &'a Value) -> Self {
        let key: Uuid = Ids::new(Clock::system(), Random::system()).next();
        let key = key.simple().to_string();
        Self {
            client,
            agent,
            new,
            key,
            run: None,
            seq: 0,
            events: None,
            tries: 0,
            ended: false,
        }
    }

    /// The run's id, as soon as there is a run.
    pub(super) async fn started(&mut self) -> Result<String, Failure> {
        loop {
            match &self.run {
                Some(run) => return Ok(run.clone()),
                None => self.connect().await?,
            }
        }
    }

    /// The next event, `None` after the last.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        while !self.ended {
            let Some(events) = &mut self.events else {
                self.reconnect().await?;
                continue;
            };
            match events.next().await {
                Some(Ok(sse)) => {
                    if let Some(event) = self.take(sse)? {
                        return Ok(Some(event));
                    }
                }
                // Ended without a last event, or broken: the same to us.
                Some(Err(_)) | None => self.events = None,
            }
        }
        Ok(None)
    }

    fn take(&mut self, sse: Sse) -> Result<Option<Event>, Failure> {
        let (Some(id), Some(kind), Some(data)) = (sse.id, sse.event, sse.data) else {
            return Ok(None);
        };
        let Ok(seq) = id.parse::<i64>() else {
            return Ok(None);
        };
        if seq <= self.seq {
            return Ok(None);
        }
        let event = Event {
            seq,
            kind,
            data: serde_json::from_str(&data)?,
        };
        self.seq = seq;
        self.tries = 0;
        self.ended = event.kind == "done";
        Ok(Some(event))
    }

    async fn reconnect(&mut self) -> Result<(), Failure> {
        if self.tries > 0 {
            let wait = WAIT_FIRST * 2_u32.saturating_pow(self.tries - 1);
            tokio::time::sleep(wait.min(WAIT_MAX)).await;
        }
        self.tries += 1;
        match self.connect().await {
            Err(failure) if self.run.is_some() && self.tries < TRIES_MAX && passes(&failure) => {
                Ok(())
            }
            Err(failure) => Err(self.given_up(failure)),
            Ok(()) => Ok(()),
        }
    }

    /// Starts the run, or goes on with it.
    async fn connect(&mut self) -> Result<(), Failure> {
        let response = match &self.run {
            None => {
                let start = Opening {
                    start: Some((&self.key, self.new)),
                    after: None,
                };
                self.client
                    .open(Method::POST, &["agents", self.agent, "runs"], start)
                    .await?
            }
            Some(run) => {
                let place = Opening {
                    start: None,
                    after: Some(self.seq),
                };
                self.client
                    .open(
                        Method::GET,
                        &["agents", self.agent, "runs", run, "events"],
                        place,
                    )
                    .await?
            }
        };
        if self.run.is_none() {
            self.run = Some(run_id(&response)?);
        }
        // Nothing is left to send.
        self.ended = response.status() == StatusCode::NO_CONTENT;
        self.events = Some(Box::pin(
            SseByteStream::new(Box::pin(heard(response)))
                .map(|sse| sse.map_err(|error| error.to_string())),
        ));
        Ok(())
    }

    fn given_up(&self, failure: Failure) -> Failure {
        match &self.run {
            Some(run) => {
                let detail = format!(
                    "{}; the run goes on: `bulkhead runs show {} {run}`",
                    failure.detail, self.agent
                );
                Failure::new(&failure.code, detail)
            }
            None => failure,
        }
    }
}

/// Whether another try may find the host well.
fn passes(failure: &Failure) -> bool {
    [UNREACHABLE, "unavailable"].contains(&failure.code.as_str())
}

fn run_id(response: &Response) -> Result<String, Failure> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let id = location
        .and_then(|path| path.rsplit('/').next())
        .filter(|id| id.starts_with("run_"));
    id.map(str::to_owned).ok_or_else(|| {
        Failure::new(
            "unexpected_answer",
            "the host did not say which run it started",
        )
    })
}

/// The bytes of an answer until it ends or falls silent.
fn heard(response: Response) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    unfold(Some(response), |response| async {
        let mut response = response?;
        match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(Ok(Some(bytes))) => Some((Ok(bytes), Some(response))),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some((Err(std::io::Error::other(error)), None)),
            Err(_) => Some((Err(std::io::ErrorKind::TimedOut.into()), None)),
        }
    })
}
