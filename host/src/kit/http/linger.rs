//! Lingering over refused requests: what the client still sends is read and thrown away for a while, because a
//! connection that is closed under a client's hands loses the answer that says what was wrong.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

/// How long, and how much, is read after a refusal.
const LINGER: Duration = Duration::from_secs(2);
const BYTES_MAX: usize = 64 << 20;

/// A body that its handler may drop and that is still there.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

/// The layer. Accepted requests, and those without a body, pass as they are.
pub async fn linger(request: Request, next: Next) -> Response {
    // Who asks first whether to send a body at all is told no.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = Shared(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(parts, Body::new(body.clone()));
    let response = next.run(request).await;
    if response.status().is_client_error() {
        // Whether it ended or not, the answer is due.
        let _ = tokio::time::timeout(LINGER, drain(body)).await;
    }
    response
}

async fn drain(mut body: Shared) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
    {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BYTES_MAX {
            return;
        }
    }
}

impl Shared {
    fn with<T>(&self, what: impl FnOnce(Pin<&mut Body>) -> T) -> T {
        what(Pin::new(
            &mut self.0.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
