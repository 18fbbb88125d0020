//! The client of OpenAI-compatible endpoints: streaming Chat Completions. Tries again only while no byte of an answer
//! was read; holds back from a connection that keeps failing; reads with bounded memory and time.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Response, Url};

use super::answer::Answer;
use super::breaker::Breakers;
use super::fault::Fault;
use super::request;
use super::scrub::Scrub;
use super::sse::Events;
use crate::kit::egress::Egress;
use crate::kit::{Clock, Random, trace};
use crate::models::generate::Out;
use crate::models::resolve::Endpoint;
use crate::models::{Config, GenerateError, Request};

#[derive(Clone, Debug)]
pub(in crate::models) struct OpenAi {
    egress: Egress,
    clock: Clock,
    random: Random,
    breakers: Breakers,
    config: Config,
}

impl OpenAi {
    pub(in crate::models) fn new(
        egress: Egress,
        clock: Clock,
        random: Random,
        config: Config,
    ) -> Self {
        Self {
            egress,
            clock,
            random,
            breakers: Breakers::new(&config),
            config,
        }
    }

    /// One generation, from the first try to its last piece.
    pub(in crate::models) async fn answer(
        &self,
        endpoint: &Endpoint,
        model: &str,
        request: Request,
        out: &mut Out,
    ) -> Result<(), GenerateError> {
        let url = completions(&endpoint.base_url);
        let body = Bytes::from(request::body(model, &request, &url));
        out.begin(&request);
        let mut tried = 0;
        let response = loop {
            if let Err(error) = self.breakers.admit(endpoint.id, self.clock.now()) {
                out.nothing_used();
                return Err(error);
            }
            tried += 1;
            let fault = match self.send(endpoint, &url, body.clone()).await {
                Ok(response) => break response,
                Err(fault) => fault,
            };
            self.breakers.failed(endpoint.id, &fault, self.clock.now());
            match fault.wait(tried, &self.config, &self.random) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    if fault.is_unbilled() {
                        out.nothing_used();
                    }
                    return Err(fault.into());
                }
            }
        };
        self.breakers.answered(endpoint.id);
        let answer = Answer::new(&self.config, Scrub::new(endpoint.api_key.clone()), &request);
        // A generation waits for most of its life: what was sent need not wait with it.
        drop((request, body));
        self.read(response, answer, out).await
    }

    /// One try: up to the head of an answer that is a stream.
    async fn send(&self, endpoint: &Endpoint, url: &Url, body: Bytes) -> Result<Response, Fault> {
        let mut request = self
            .egress
            .client()
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/event-stream")
            .body(body);
        if let Some(key) = &endpoint.api_key {
            request = request.bearer_auth(key.expose());
        }
        if let Some(traceparent) = &endpoint.traceparent {
            request = request.header(trace::HEADER, traceparent);
        }
        let response = tokio::time::timeout(self.config.first_byte(), request.send())
            .await
            .map_err(|_| Fault::Silent(self.config.first_byte()))?
            .map_err(|error| Fault::unsent(&error))?;
        if response.status().is_success() && !is_json(&response) {
            return Ok(response);
        }
        let scrub = Scrub::new(endpoint.api_key.clone());
        Err(Fault::read(response, &scrub, self.clock.now(), self.config.idle()).await)
    }

    async fn read(
        &self,
        mut response: Response,
        mut answer: Answer,
        out: &mut Out,
    ) -> Result<(), GenerateError> {
        let mut events = Events::new(self.config.event_bytes_max);
        let mut left = self.config.wire_bytes_max;
        // A model may think before its first word: what waits for the head waits for the first byte, too.
        let mut patience = self.config.first_byte();
        let broke = loop {
            let bytes = match read_some(&mut response, patience).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break None,
                Err(why) => break Some(why),
            };
            patience = self.config.idle();
            left = left
                .checked_sub(bytes.len())
                .ok_or_else(|| broken("The provider's answer is too large."))?;
            let mut rest = &bytes[..];
            while let Some(event) = events.next(&mut rest)? {
                let done = answer.event(&event)?;
                for chunk in answer.take() {
                    out.chunk(chunk).await?;
                }
                if done {
                    return finish(answer, out).await;
                }
            }
        };
        if broke.is_none()
            && let Some(event) = events.end()
        {
            answer.event(&event)?;
        }
        match broke {
            // Its end was said; only the count may be missing.
            Some(why) if !answer.is_finished() => Err(broken(why)),
            _ => finish(answer, out).await,
        }
    }
}

async fn finish(mut answer: Answer, out: &mut Out) -> Result<(), GenerateError> {
    answer.end()?;
    for chunk in answer.take() {
        out.chunk(chunk).await?;
    }
    Ok(())
}

async fn read_some(
    response: &mut Response,
    patience: Duration,
) -> Result<Option<Bytes>, &'static str> {
    match tokio::time::timeout(patience, response.chunk()).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err("The provider's answer broke off."),
        Err(_) => Err("The provider fell silent in the middle of its answer."),
    }
}

/// `…/chat/completions` below the base, its query kept.
fn completions(base: &Url) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("chat").push("completions");
    }
    url
}

/// An endpoint that does not stream answers with one JSON text: an error, whatever its status says.
fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"))
}

pub(super) fn broken(why: &str) -> GenerateError {
    GenerateError::Broken(why.to_owned())
}
