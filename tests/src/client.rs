//! A client of one organization: plain HTTP, answers kept whole, SSE read to the byte.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt as _;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// Talks to a host as an organization.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    pub org: String,
    pub key: String,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

/// One event as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: i32,
    pub kind: String,
    pub data: Value,
    /// The bytes of the data line.
    pub raw: String,
}

/// Events as they come.
#[derive(Debug)]
pub struct Events {
    response: Option<Response>,
    buffer: BytesMut,
    pub location: Option<String>,
}

impl Client {
    #[expect(clippy::disallowed_methods, reason = "the harness is outside the host")]
    pub fn new(url: &str, org: &str, key: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a plain client can be made");
        Self {
            http,
            url: url.to_owned(),
            org: org.to_owned(),
            key: key.to_owned(),
        }
    }

    /// The same client against another host.
    pub fn at(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// The same organization with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self.clone()
        }
    }

    /// A request to a path below the organization, to one of the host, or to a whole URL.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.key)
    }

    /// The same without a key.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        let absolute = ["/v1", "/stripe", "/livez", "/readyz", "/openapi.json"];
        let url = if path.starts_with("http") {
            path.to_owned()
        } else if absolute.iter().any(|start| path.starts_with(start)) {
            format!("{}{path}", self.url)
        } else {
            format!("{}/v1/orgs/{}{path}", self.url, self.org)
        };
        self.http.request(method, url)
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub async fn upload(&self, agent: &str, bytes: &[u8]) -> Answer {
        let path = format!("/agents/{agent}/versions");
        let request = self
            .request(Method::POST, &path)
            .header(header::CONTENT_TYPE, "application/wasm");
        send(request.body(bytes.to_vec())).await
    }

    /// Uploads and makes stable, whatever it asks for; both must work.
    pub async fn deploy(&self, agent: &str, bytes: &[u8]) -> i64 {
        let uploaded = self.upload(agent, bytes).await;
        assert!(
            uploaded.status.is_success(),
            "deploying {agent}: {}",
            uploaded.text
        );
        let number = uploaded.json()["number"]
            .as_i64()
            .expect("versions are numbered");
        let path = format!("/agents/{agent}/channels/stable");
        let asked = format!("/agents/{agent}/versions/{number}/diff");
        let more = self.get(&asked).await.json()["more"].clone();
        let to = json!({ "version": number, "approve_capabilities": more });
        let moved = self.put(&path, &to).await;
        assert_eq!(moved.status, 200, "making {agent} stable: {}", moved.text);
        number
    }

    /// Starts a run and reads its events.
    pub async fn stream(&self, agent: &str, body: &Value) -> Events {
        let path = format!("/agents/{agent}/runs");
        let request = self
            .request(Method::POST, &path)
            .header(header::ACCEPT, "text/event-stream");
        let response = request.json(body).send().await.expect("the host answers");
        Events::of(response).await
    }

    /// Reads a run's events after a seq.
    pub async fn resume(&self, agent: &str, run: &str, after: i32) -> Events {
        let path = format!("/agents/{agent}/runs/{run}/events");
        let request = self
            .request(Method::GET, &path)
            .header(header::ACCEPT, "text/event-stream")
            .header("last-event-id", after);
        Events::of(request.send().await.expect("the host answers")).await
    }

    /// A run from its first event to its last.
    pub async fn run(&self, agent: &str, body: &Value) -> Vec<Event> {
        self.stream(agent, body).await.rest().await
    }

    /// Starts a run without waiting; its id.
    pub async fn start(&self, agent: &str, body: &Value) -> String {
        let answer = self.post(&format!("/agents/{agent}/runs"), body).await;
        assert_eq!(answer.status, 202, "starting {agent}: {}", answer.text);
        answer.json()["id"]
            .as_str()
            .expect("runs have ids")
            .to_owned()
    }

    /// Begins a conversation; its id.
    pub async fn converse(&self, agent: &str) -> String {
        let path = format!("/agents/{agent}/conversations");
        let made = self.post(&path, &json!({})).await;
        assert_eq!(made.status, 201, "a conversation: {}", made.text);
        let id = made.json()["id"].as_str().map(str::to_owned);
        id.expect("conversations have ids")
    }

    pub async fn show(&self, agent: &str, run: &str) -> Value {
        self.get(&format!("/agents/{agent}/runs/{run}"))
            .await
            .json()
    }

    pub async fn cancel(&self, agent: &str, run: &str) -> Answer {
        send(self.request(Method::POST, &format!("/agents/{agent}/runs/{run}/cancel"))).await
    }
}

/// Sends a request and keeps the answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the host answers");
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("answers are text");
    Answer {
        status,
        headers,
        text,
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text))
    }

    /// The problem's code; the answer must be a problem.
    pub fn code(&self) -> String {
        let kind = self
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        assert_eq!(
            kind,
            Some("application/problem+json"),
            "{} {}",
            self.status,
            self.text
        );
        self.json()["code"]
            .as_str()
            .expect("problems have a code")
            .to_owned()
    }

    /// Status and code in one, for `assert_eq!`.
    pub fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }
}

impl Events {
    /// The events of an answer that is a stream of them.
    pub async fn of(response: Response) -> Self {
        Self::try_of(response)
            .await
            .unwrap_or_else(|(status, text)| panic!("no stream but {status}: {text}"))
    }

    /// The events of an answer, or what it says instead.
    pub async fn try_of(response: Response) -> Result<Self, (StatusCode, String)> {
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Self {
                response: None,
                buffer: BytesMut::new(),
                location: None,
            });
        }
        let status = response.status();
        let kind = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if kind != Some("text/event-stream") {
            return Err((status, response.text().await.unwrap_or_default()));
        }
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok());
        let location = location.map(str::to_owned);
        Ok(Self {
            response: Some(response),
            buffer: BytesMut::new(),
            location,
        })
    }

    /// Whether the answer was 204.
    pub fn is_empty(&self) -> bool {
        self.response.is_none()
    }

    /// The id of the run that was just started.
    pub fn run(&self) -> String {
        let location = self
            .location
            .as_deref()
            .expect("a started run has a location");
        location
            .rsplit('/')
            .next()
            .expect("paths have parts")
            .to_owned()
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        let next = self.try_next().await;
        next.unwrap_or_else(|cut| panic!("the stream was cut: {cut}"))
    }

    /// The next event of a stream that may be cut. Half an event is none.
    pub async fn try_next(&mut self) -> Result<Option<Event>, String> {
        loop {
            if let Some(frame) = self.take_frame() {
                match parse(&frame) {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            let Some(response) = self.response.as_mut() else {
                return Ok(None);
            };
            match response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) if self.buffer.is_empty() => return Ok(None),
                Ok(None) => return Err(format!("half an event at the end: {:?}", self.buffer)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// The next event of a kind, skipping others.
    pub async fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the stream ended before `{kind}`"));
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Everything that is left.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    fn take_frame(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let frame = self.buffer.split_to(end + 2);
        Some(String::from_utf8(frame[..end].to_vec()).expect("events are UTF-8"))
    }
}

fn parse(frame: &str) -> Option<Event> {
    let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
    let raw = field("data: ")?.to_owned();
    Some(Event {
        id: field("id: ")?.parse().expect("ids are numbers"),
        kind: field("event: ")?.to_owned(),
        data: serde_json::from_str(&raw).expect("data is JSON"),
        raw,
    })
}

/// The text of a run's events, joined.
pub fn text(events: &[Event]) -> String {
    events
        .iter()
        .filter(|event| event.kind == "text")
        .filter_map(|event| event.data["text"].as_str())
        .collect()
}

/// The stop reason of the last event, which must be `done`.
pub fn stop_reason(events: &[Event]) -> &str {
    let last = events.last().expect("a run has events");
    assert_eq!(last.kind, "done", "the last event");
    last.data["stop_reason"]
        .as_str()
        .expect("an end has a reason")
}

/// Ids, times, digests and measures masked, limits left out, so that the rest can be a snapshot.
pub fn masked(mut value: Value) -> Value {
    mask(&mut value);
    value
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // What binds a run is the same in each test that does not ask for it.
            fields.remove("limits");
            for (name, field) in fields.iter_mut() {
                let measure = [
                    "fuel",
                    "wall_ms",
                    "memory_peak_bytes",
                    "compile_ms",
                    "size_bytes",
                    "fuel_before",
                ];
                if measure.contains(&name.as_str()) && field.is_number() {
                    *field = json!("[measure]");
                } else {
                    mask(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::String(text) => {
            if let Some((prefix, digits)) = text.rsplit_once('_')
                && digits.len() == 32
                && digits.bytes().all(|b| b.is_ascii_hexdigit())
            {
                *text = format!("[{prefix}]");
            } else if text.starts_with("sha256:") {
                *text = "[digest]".to_owned();
            } else if text.len() >= 20 && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T'
            {
                *text = "[time]".to_owned();
            }
        }
        _ => {}
    }
}

/// Reads a whole body as a stream of chunks; for tests of what is sent when.
pub async fn chunks(response: Response) -> Vec<bytes::Bytes> {
    response
        .bytes_stream()
        .filter_map(|chunk| async { chunk.ok() })
        .collect()
        .await
}
