//! A whole host in one value: listeners bound, rooms made, jobs running; stopped in order. What `dev`, `serve` and the
//! tests start.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::app::{App, Parts};
use crate::config::{BAD_CONFIG, Config};
use crate::kit::jobs::{Job, run_all};
use crate::kit::metrics::describe;
use crate::kit::{Error, Result, http::serve};
use crate::{server, worker};

/// How recurring work moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// On its periods.
    Time,
    /// When `run_jobs` is called.
    Told,
}

/// A running host.
pub struct Host {
    pub app: App,
    pub address: SocketAddr,
    pub metrics_address: SocketAddr,
    jobs: Arc<[Job]>,
    serving: JoinHandle<()>,
}

impl Host {
    /// Starts a host on a migrated database. When this returns, it answers.
    pub async fn start(config: Config, parts: Parts, pace: Pace) -> Result<Self> {
        let listener = bind(config.listen, "listen").await?;
        let metrics_listener = bind(config.metrics_listen, "metrics_listen").await?;
        let (address, metrics_address) = (listener.local_addr()?, metrics_listener.local_addr()?);
        let grace = Duration::from_millis(config.shutdown_grace_ms);
        let recorder = recorder()?;
        let app = Box::pin(App::build(config, parts)).await?;
        app.runs.join(address).await?;
        Box::pin(app.runs.listen()).await;
        let mut jobs = worker::jobs(&app);
        jobs.push(upkeep(&recorder));
        let jobs: Arc<[Job]> = jobs.into();
        if pace == Pace::Time {
            run_all(&jobs, &app.tasks);
        }
        let tasks = app.tasks.clone();
        let router = server::router(app.clone());
        let serving = tasks.spawn(serve::serve(listener, router, tasks.clone(), grace));
        let metrics =
            Router::new().route("/metrics", get(move || async move { recorder.render() }));
        tasks.spawn(serve::serve(
            metrics_listener,
            metrics,
            tasks.clone(),
            Duration::ZERO,
        ));
        tracing::info!(%address, %metrics_address, node = %app.runs.node(), "ready");
        Ok(Self {
            app,
            address,
            metrics_address,
            jobs,
            serving,
        })
    }

    /// Runs every job once, in order.
    pub async fn run_jobs(&self) -> Result<()> {
        for job in self.jobs.iter() {
            job.run().await?;
        }
        Ok(())
    }

    /// Stops in order: no new work, runs end or are stopped, requests end, threads and connections go.
    pub async fn stop(self) -> Result<()> {
        let Self {
            app, jobs, serving, ..
        } = self;
        let grace = Duration::from_millis(app.config.shutdown_grace_ms);
        app.draining.send_replace(true);
        let left = app.runs.leave(grace).await;
        app.tasks.shutdown().cancel();
        if let Err(error) = serving.await {
            tracing::error!(%error, "the server ended badly");
        }
        if let Err(error) = app.refusals.count(true).await {
            tracing::warn!(%error, "counts of refusals were not written");
        }
        app.tracing.stop().await;
        let (db, tasks, scheduler) = (app.db.clone(), app.tasks.clone(), app.scheduler.clone());
        // The writers end when the last room that can write is gone; whatever still waits is bounded.
        drop((app, jobs));
        if tokio::time::timeout(grace + Duration::from_secs(5), tasks.finished())
            .await
            .is_err()
        {
            tracing::error!(
                running = tasks.running(),
                "tasks were left at the end of the grace period"
            );
        }
        scheduler.close();
        db.close().await;
        left
    }
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "is taken: stop what listens there, or choose another".to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "needs privileges: choose a port above 1023".to_owned()
            }
            _ => format!("cannot be listened on: {error}"),
        };
        BAD_CONFIG.because(format!(
            "`{key}` {address} {what} (port 0 takes a free one)."
        ))
    })
}

/// What histograms were told since is put into their buckets; without it every value is kept until somebody asks for
/// `/metrics`, and nobody may.
fn upkeep(recorder: &PrometheusHandle) -> Job {
    let recorder = recorder.clone();
    Job::new("metrics.upkeep", Duration::from_secs(5), move || {
        recorder.run_upkeep();
        std::future::ready(Ok(()))
    })
}

/// The process's metrics: one recorder however many hosts it runs.
fn recorder() -> Result<PrometheusHandle> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = RECORDER.get() {
        return Ok(handle.clone());
    }
    let seconds = [
        0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0,
    ];
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds)
        .and_then(|b| {
            let sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
            b.set_buckets_for_metric(Matcher::Suffix("_changes".to_owned()), &sizes)
        })
        .map_err(Error::internal)?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        // Another thread was first.
        return RECORDER
            .get()
            .cloned()
            .ok_or_else(|| Error::internal("metrics have a foreign recorder"));
    }
    describe();
    Ok(RECORDER.get_or_init(|| handle).clone())
}
