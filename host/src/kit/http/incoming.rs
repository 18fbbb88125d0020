//! Bodies as clients send them. One that falls silent in the middle is cut. One that is refused is read and thrown
//! away for a while: a connection closed under a client's hands loses the answer that says what was wrong.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

/// How long, and how much, is read after a refusal.
const LINGER: Duration = Duration::from_secs(2);
const BYTES_MAX: usize = 64 << 20;

/// The client said nothing for too long in the middle of its body.
#[derive(Debug, thiserror::Error)]
#[error("the client fell silent in the middle of its body")]
pub struct Silent;

/// A body that its handler may drop and that is still there.
#[derive(Clone)]
struct Incoming(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    patience: Duration,
    cut: Pin<Box<Sleep>>,
}

/// The layer; its state is how long a client may be silent. Requests without a body pass as they are.
pub async fn receive(State(patience): State<Duration>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // Who asks first whether to send a body at all is told no, and sends none.
    let asks = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let cut = Box::pin(tokio::time::sleep(patience));
    let body = Incoming(Arc::new(Mutex::new(Inner {
        body,
        patience,
        cut,
    })));
    let request = Request::from_parts(parts, Body::new(body.clone()));
    let response = next.run(request).await;
    if response.status().is_client_error() && !asks {
        // Whether it ended or not, the answer is due.
        let _ = tokio::time::timeout(LINGER, drain(body)).await;
    }
    response
}

async fn drain(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BYTES_MAX {
            return;
        }
    }
}

impl Incoming {
    fn with<T>(&self, what: impl FnOnce(&mut Inner) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.cut.as_mut().reset(Instant::now() + self.patience);
            return Poll::Ready(frame);
        }
        ready!(self.cut.as_mut().poll(cx));
        Poll::Ready(Some(Err(axum::Error::new(Silent))))
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|inner| inner.poll(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|inner| inner.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|inner| inner.body.size_hint())
    }
}
