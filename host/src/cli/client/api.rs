//! One client: requests to the routes of one organization, with its key; answers as JSON, refusals as failures.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;

use crate::agents::signed::HEADER;
use crate::cli::terminal::Failure;
use crate::kit::Secret;
use crate::kit::http::Problem;

/// An upload compiles; nothing else takes long.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);
const ANSWER_BYTES_MAX: usize = 64 << 20;
const STREAM: &str = "text/event-stream";

/// A host and an organization on it, with a key.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    pub(super) http: reqwest::Client,
    /// Ends in `/v1/orgs/{org}`.
    pub(super) base: Url,
    pub(super) key: Secret,
}

impl Client {
    pub(in crate::cli) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Value, Failure> {
        let mut url = self.url(path)?;
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.answer(self.request(Method::GET, url)).await
    }

    /// An answer that is no JSON.
    pub(in crate::cli) async fn text(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<String, Failure> {
        let mut url = self.url(path)?;
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let request = self.request(Method::GET, url).timeout(ANSWERS_WITHIN);
        let body = bytes(self.send(request).await?).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// An answer that is taken as it comes, however large it is.
    pub(in crate::cli) async fn fetch(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<Pieces, Failure> {
        let mut url = self.url(path)?;
        for (name, value) in query {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Ok(Pieces(self.send(self.request(Method::GET, url)).await?))
    }

    pub(in crate::cli) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.answer(self.request(Method::POST, self.url(path)?).json(body))
            .await
    }

    pub(in crate::cli) async fn put(&self, path: &[&str], body: &Value) -> Result<Value, Failure> {
        self.answer(self.request(Method::PUT, self.url(path)?).json(body))
            .await
    }

    pub(in crate::cli) async fn patch(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<Value, Failure> {
        self.answer(self.request(Method::PATCH, self.url(path)?).json(body))
            .await
    }

    pub(in crate::cli) async fn delete(&self, path: &[&str]) -> Result<Value, Failure> {
        self.answer(self.request(Method::DELETE, self.url(path)?))
            .await
    }

    /// The answer, and whether it says that something was made.
    pub(in crate::cli) async fn make(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<(Value, bool), Failure> {
        self.made(self.request(Method::POST, self.url(path)?).json(body))
            .await
    }

    /// The same for a component.
    pub(in crate::cli) async fn upload(
        &self,
        path: &[&str],
        (component, signature): (Vec<u8>, Option<String>),
    ) -> Result<(Value, bool), Failure> {
        let mut request = self
            .request(Method::POST, self.url(path)?)
            .header(CONTENT_TYPE, "application/wasm");
        if let Some(signature) = signature {
            request = request.header(HEADER, signature);
        }
        self.made(request.body(component)).await
    }

    /// Starts something that answers with a stream; it has no end in time.
    pub(in crate::cli) async fn open(
        &self,
        method: Method,
        path: &[&str],
        how: Opening<'_>,
    ) -> Result<Response, Failure> {
        let mut request = self.request(method, self.url(path)?).header(ACCEPT, STREAM);
        if let Some((key, body)) = how.start {
            request = request.header("idempotency-key", key).json(body);
        }
        if let Some(seq) = how.after {
            request = request.header("last-event-id", seq.to_string());
        }
        self.send(request).await
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http
            .request(method, url)
            .bearer_auth(self.key.expose())
    }

    /// Names go in as path segments, so that no name can lead elsewhere.
    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        if let Some(bad) = path.iter().find(|part| ["", ".", ".."].contains(*part)) {
            return Err(Failure::usage(format!("`{bad}` is no name")));
        }
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => _ = segments.extend(path),
            Err(()) => return Err(Failure::usage(format!("{} is no web address", self.base))),
        }
        Ok(url)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Failure> {
        read(self.send(request.timeout(ANSWERS_WITHIN)).await?).await
    }

    async fn made(&self, request: RequestBuilder) -> Result<(Value, bool), Failure> {
        let response = self.send(request.timeout(ANSWERS_WITHIN)).await?;
        let made = response.status() == reqwest::StatusCode::CREATED;
        Ok((read(response).await?, made))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unsent(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = bytes(response).await?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => problem.into(),
            Err(_) => Failure::new(
                "not_bulkhead",
                format!(
                    "{} answered {status} as no Bulkhead does: check --url (BULKHEAD_URL)",
                    self.host()
                ),
            ),
        })
    }

    fn unsent(&self, error: &reqwest::Error) -> Failure {
        let host = self.host();
        if error.is_connect() {
            let detail = format!(
                "no host answers at {host}: start one with `bulkhead dev`, or name it with --url (BULKHEAD_URL)"
            );
            return Failure::new(UNREACHABLE, detail);
        }
        if error.is_timeout() {
            return Failure::new(
                UNREACHABLE,
                format!("{host} did not answer in time; look at its log, then try again"),
            );
        }
        Failure::new(
            UNREACHABLE,
            format!("the connection to {host} broke; try again"),
        )
    }

    fn host(&self) -> String {
        self.base.origin().ascii_serialization()
    }
}

/// An answer, piece by piece.
#[derive(Debug)]
pub(in crate::cli) struct Pieces(Response);

impl Pieces {
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let broken = |_| Failure::new(UNREACHABLE, "the answer broke off; try again");
        self.0.chunk().await.map_err(broken)
    }
}

/// The code of failures of the network, which may pass.
pub(in crate::cli) const UNREACHABLE: &str = "unreachable";

/// What opens a stream: something new under an idempotency key, or the place to go on from.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Opening<'a> {
    pub(in crate::cli) start: Option<(&'a str, &'a Value)>,
    pub(in crate::cli) after: Option<i64>,
}

async fn read(response: Response) -> Result<Value, Failure> {
    let body = bytes(response).await?;
    Ok(if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body)?
    })
}

async fn bytes(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let broken = |_| Failure::new(UNREACHABLE, "the answer broke off; try again");
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(Failure::new(
                "answer_too_large",
                "the answer is larger than 64 MiB; ask for less with --limit",
            ));
        }
    }
    Ok(body)
}
