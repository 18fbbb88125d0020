//! What the provider answers, and how well it behaves while it does.

use std::future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::tcp::OwnedWriteHalf;

use super::{wire, words};

/// One scripted answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The events of the stream, but for the count and `[DONE]`.
    events: Vec<Value>,
    output_tokens: u64,
    has_usage: bool,
    how: How,
}

/// How an answer is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    Well,
    /// Reads the request and closes the connection.
    Refuse,
    HangBeforeHead,
    HangAfterHead,
    /// Sends so many bytes of the body and then nothing more.
    HangAfter(usize),
    /// Sends so many bytes of the body and ends it.
    Truncate(usize),
    /// Each byte in a packet of its own.
    SplitEveryByte,
    /// This pause before each event.
    Drip(Duration),
    /// These bytes for a body.
    Garbage(Vec<u8>),
    /// Text without an end.
    EndlessText,
    /// A line without an end.
    EndlessLine,
    /// Comments without an end.
    EndlessComments,
    /// No stream but this status, these headers and this body.
    Status(u16, Vec<(String, String)>, String),
}

impl Answer {
    /// A text, a word at a time.
    pub fn text(text: &str) -> Self {
        let pieces: Vec<&str> = text.split_inclusive(' ').collect();
        Self::pieces(&pieces)
    }

    /// A text in these pieces.
    pub fn pieces(pieces: &[&str]) -> Self {
        let mut events = vec![event(json!({ "role": "assistant", "content": "" }), None)];
        events.extend(
            pieces
                .iter()
                .map(|piece| event(json!({ "content": piece }), None)),
        );
        events.push(event(json!({}), Some("stop")));
        Self::of(events, pieces.iter().map(|piece| words(piece)).sum())
    }

    /// Calls of tools, by id, name and arguments; the pieces of all of them come interleaved.
    pub fn tool_calls(calls: &[(&str, &str, &str)]) -> Self {
        let mut events = Vec::new();
        for (index, (id, name, _)) in calls.iter().enumerate() {
            let call = json!({ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": "" } });
            events.push(event(json!({ "tool_calls": [call] }), None));
        }
        let pieces: Vec<Vec<String>> = calls
            .iter()
            .map(|(_, _, arguments)| thirds(arguments))
            .collect();
        for piece in 0..3 {
            for (index, pieces) in pieces.iter().enumerate() {
                let call = json!({ "index": index, "function": { "arguments": pieces[piece] } });
                events.push(event(json!({ "tool_calls": [call] }), None));
            }
        }
        events.push(event(json!({}), Some("tool_calls")));
        Self::of(events, calls.len() as u64)
    }

    /// These events as they are; the stream ends after them with the count and `[DONE]`.
    pub fn events(events: Vec<Value>) -> Self {
        let count = events.len() as u64;
        Self::of(events, count)
    }

    pub fn status(status: u16, body: &str) -> Self {
        Self::text("").how(How::Status(status, Vec::new(), body.to_owned()))
    }

    /// 429, to be tried again after so many seconds.
    pub fn rate_limited(retry_after: &str) -> Self {
        let headers = vec![("retry-after".to_owned(), retry_after.to_owned())];
        let body = r#"{"error":{"message":"Slow down."}}"#.to_owned();
        Self::text("").how(How::Status(429, headers, body))
    }

    #[must_use]
    pub fn how(mut self, how: How) -> Self {
        self.how = how;
        self
    }

    /// Leaves out the count.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.has_usage = false;
        self
    }

    /// The whole body, as it would be sent well.
    pub fn body(&self, input: u64) -> Vec<u8> {
        self.frames(input).concat().into_bytes()
    }

    fn of(events: Vec<Value>, output_tokens: u64) -> Self {
        Self {
            events,
            output_tokens,
            has_usage: true,
            how: How::Well,
        }
    }

    fn frames(&self, input: u64) -> Vec<String> {
        let mut frames: Vec<String> = self
            .events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        if self.has_usage {
            let usage = json!({ "prompt_tokens": input, "completion_tokens": self.output_tokens });
            frames.push(format!(
                "data: {}\n\n",
                json!({ "choices": [], "usage": usage })
            ));
        }
        frames.push("data: [DONE]\n\n".to_owned());
        frames
    }

    /// Gives the answer. `None` where the client went away; else the tokens of an answer whose count was sent.
    /// `sent` is told the bytes of its body that went out.
    pub(super) async fn perform(
        &self,
        to: &mut OwnedWriteHalf,
        input: u64,
        sent: &AtomicUsize,
    ) -> Option<Option<u64>> {
        match &self.how {
            How::Refuse => return Some(None),
            How::HangBeforeHead => return future::pending().await,
            How::Status(status, headers, body) => {
                let mut headers = headers.clone();
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
                wire::write_head(to, *status, &headers).await?;
                wire::write(to, body.as_bytes()).await?;
                return Some(None);
            }
            _ => {}
        }
        let stream = [("content-type".to_owned(), "text/event-stream".to_owned())];
        wire::write_head(to, 200, &stream).await?;
        self.write_body(to, input, sent).await
    }

    /// Its count, if that is in the first bytes of its body.
    pub(super) fn count_in(&self, bytes: usize, input: u64) -> Option<u64> {
        let frames = self.frames(input);
        let counted = frames.len().saturating_sub(1);
        let end: usize = frames[..counted].iter().map(String::len).sum();
        (self.has_usage && end <= bytes).then_some(self.output_tokens)
    }

    /// Words of its text in the first bytes of its body: a frame counts once it is whole.
    pub(super) fn words_in(&self, bytes: usize, input: u64) -> u64 {
        let mut end = 0;
        let frames = self.frames(input).into_iter().zip(&self.events);
        let sent = frames.take_while(|(frame, _)| {
            end += frame.len();
            end <= bytes
        });
        let content = |event: &Value| event["choices"][0]["delta"]["content"].as_str().map(words);
        sent.filter_map(|(_, event)| content(event)).sum()
    }

    async fn write_body(
        &self,
        to: &mut OwnedWriteHalf,
        input: u64,
        sent: &AtomicUsize,
    ) -> Option<Option<u64>> {
        let body = self.body(input);
        let count = |bytes: usize| sent.fetch_add(bytes, Ordering::Relaxed);
        match &self.how {
            How::HangAfterHead => return future::pending().await,
            How::HangAfter(bytes) => {
                let part = &body[..*bytes.min(&body.len())];
                wire::write(to, part).await?;
                count(part.len());
                return future::pending().await;
            }
            How::Truncate(bytes) => {
                let part = &body[..*bytes.min(&body.len())];
                wire::write(to, part).await?;
                count(part.len());
                return Some(None);
            }
            How::Garbage(bytes) => {
                wire::write(to, bytes).await?;
                return Some(None);
            }
            How::EndlessText => {
                return endless(
                    to,
                    &format!("data: {}\n\n", event(json!({ "content": "more " }), None)),
                )
                .await;
            }
            How::EndlessLine => return endless(to, "data: more and more").await,
            How::EndlessComments => return endless(to, ": still at work\n\n").await,
            How::SplitEveryByte => {
                for byte in body {
                    wire::write(to, &[byte]).await?;
                    count(1);
                }
            }
            How::Drip(pause) => {
                for frame in self.frames(input) {
                    tokio::time::sleep(*pause).await;
                    wire::write(to, frame.as_bytes()).await?;
                    count(frame.len());
                }
            }
            _ => {
                wire::write(to, &body).await?;
                count(body.len());
            }
        }
        Some(self.has_usage.then_some(self.output_tokens))
    }
}

async fn endless(to: &mut OwnedWriteHalf, piece: &str) -> Option<Option<u64>> {
    let many = piece.repeat(64);
    loop {
        wire::write(to, many.as_bytes()).await?;
    }
}

fn event(delta: Value, finish_reason: Option<&str>) -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "choices": [{ "index": 0, "delta": delta, "finish_reason": finish_reason }],
        "usage": null,
    })
}

/// A text in three pieces of whole characters.
fn thirds(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (one, two) = (chars.len() / 3, chars.len() * 2 / 3);
    [&chars[..one], &chars[one..two], &chars[two..]]
        .map(|piece| piece.iter().collect())
        .to_vec()
}
