//! The scripted model of a case: a provider on this machine that speaks what every connection speaks, and says what the
//! case wrote down. The host under it knows no difference.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::cases::{Answer, Call};
use crate::kit::Tasks;
use crate::kit::http::serve::serve;

/// What it says next.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    answers: VecDeque<Answer>,
    generations: usize,
}

/// The provider, while its host runs.
#[derive(Debug)]
pub(super) struct Script {
    lines: Lines,
    address: SocketAddr,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script {
    pub(super) async fn start(tasks: &Tasks) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (lines, address) = (Lines::default(), listener.local_addr()?);
        // One thing is ever asked of it, wherever below its address.
        let router = Router::new().fallback(answer).with_state(lines.clone());
        tasks.spawn(serve(listener, router, tasks.clone(), Duration::ZERO));
        Ok(Self { lines, address })
    }

    /// The address of a connection to it.
    pub(super) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// From now on it says this.
    pub(super) fn says(&self, answers: &[Answer]) {
        *self.lines.lock() = Said {
            answers: answers.iter().cloned().collect(),
            generations: 0,
        };
    }

    /// Answers that nobody asked for.
    pub(super) fn left(&self) -> usize {
        self.lines.lock().answers.len()
    }
}

async fn answer(State(lines): State<Lines>, Json(_): Json<Value>) -> Response {
    let (answer, number) = {
        let mut said = lines.lock();
        said.generations += 1;
        (said.answers.pop_front(), said.generations)
    };
    match answer {
        Some(Answer::Text(text)) => stream(&text, &[]),
        Some(Answer::Call(call)) => stream("", &[call]),
        Some(Answer::Calls(said)) => stream(&said.text, &said.calls),
        Some(Answer::Error(refusal)) => refused(&refusal.error),
        None => refused(&format!(
            "the case has no answer for generation {number}: add one to its `model`"
        )),
    }
}

/// Not worth another try: the same would come of it.
fn refused(message: &str) -> Response {
    let body = json!({ "error": { "message": message } });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

/// Word by word, as models do.
fn stream(text: &str, calls: &[Call]) -> Response {
    let mut body = String::new();
    let mut event = |delta: Value, reason: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        body.push_str(&format!("data: {}\n\n", json!({ "choices": [choice] })));
    };
    for word in text.split_inclusive(' ') {
        event(json!({ "content": word }), None);
    }
    for (index, Call { call, arguments }) in calls.iter().enumerate() {
        let arguments = Value::Object(arguments.clone()).to_string();
        let function = json!({ "name": call, "arguments": arguments });
        let id = format!("call-{}", index + 1);
        let asked = json!({ "index": index, "id": id, "type": "function", "function": function });
        event(json!({ "tool_calls": [asked] }), None);
    }
    let reason = if calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    event(json!({}), Some(reason));
    body.push_str("data: [DONE]\n\n");
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}
