//! Accepting connections: headers must arrive within 10 s, a stop is graceful up to a grace period. axum's own
//! `serve` has no header timeout, so the loop is ours.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_http::add_extension::AddExtension;

use super::request::Peer;
use crate::kit::Tasks;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until shutdown, then lets requests in flight end within `grace`.
pub async fn serve(listener: TcpListener, router: Router, tasks: Tasks, grace: Duration) {
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    let graceful = GracefulShutdown::new();
    let stop = tasks.shutdown().clone();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: give the open connections time to end.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Events are small and must not wait for one another.
        let _ = stream.set_nodelay(true);
        // Around the router, not a layer of it: that would make every route anew, half a mebibyte for each connection.
        let service = TowerToHyperService::new(AddExtension::new(router.clone(), Peer(peer)));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let watched = graceful.watch(connection);
        tasks.spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    if tokio::time::timeout(grace, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("connections were still open at the end of the grace period");
    }
}
