//! The far end of the queue: one task that sends spans in batches. A collector that is down, slow or wrong costs the
//! spans of its batches, and nobody's time. Stopping sends what is left, for a bounded while.

use std::time::Duration;

use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    IdGenerator, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter as _, SpanLimits,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::config::Collector;
use super::queue::{Queue, dropped};
use super::{Config, On, Tracing};
use crate::kit::egress::Egress;
use crate::kit::{Base, Random};

/// Tells the exporter to end.
#[derive(Debug)]
pub(super) struct Stop {
    /// Sends what is left, and takes nothing more.
    flush: CancellationToken,
    flush_within: Duration,
    /// Drops what is left.
    abort: CancellationToken,
    done: CancellationToken,
}

impl Tracing {
    /// The traces a configuration asks for: none by default. Its exporter is a task of the host. `Err` says what to change.
    pub fn start(config: &Config, base: &Base, egress: &Egress) -> Result<Self, String> {
        let Some(collector) = config.collector()? else {
            return Ok(Self::default());
        };
        let resource = Resource::builder_empty()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let mut exporter = exporter(config, collector, egress)?;
        exporter.set_resource(&resource);
        let (near, far) = mpsc::channel(config.queue_spans);
        let stop = Stop {
            flush: CancellationToken::new(),
            flush_within: Duration::from_millis(config.flush_ms),
            abort: CancellationToken::new(),
            done: CancellationToken::new(),
        };
        let export = Export {
            spans: far,
            exporter,
            batch_max: config.batch_spans,
            batch_wait: Duration::from_millis(config.batch_wait_ms),
            within: Duration::from_millis(config.export_ms),
            flush: stop.flush.clone(),
            sending: 0,
            failing: false,
        };
        let (abort, done) = (stop.abort.clone(), stop.done.clone().drop_guard());
        base.tasks.spawn(async move {
            export.run(abort).await;
            drop(done);
        });
        let tracer = tracer(config, resource, Queue(near), base.ids.random().clone());
        Ok(Self(Some(std::sync::Arc::new(On {
            tracer,
            clock: base.clock.clone(),
            content: config.content,
            export: stop,
        }))))
    }

    /// Sends what is left, as long as the configuration allows; spans that end later are dropped.
    pub async fn stop(&self) {
        let Some(on) = &self.0 else { return };
        let stop = &on.export;
        stop.flush.cancel();
        let flushed = tokio::time::timeout(stop.flush_within, stop.done.cancelled()).await;
        if flushed.is_err() {
            stop.abort.cancel();
            stop.done.cancelled().await;
        }
    }
}

/// Ids from the host's randomness.
#[derive(Debug)]
struct Ids(Random);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_bytes(self.0.bytes())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_bytes(self.0.bytes())
    }
}

fn exporter(
    config: &Config,
    collector: Collector,
    egress: &Egress,
) -> Result<SpanExporter, String> {
    SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(collector.url)
        .with_timeout(Duration::from_millis(config.export_ms))
        .with_headers(collector.headers)
        .with_http_client(egress.client().clone())
        .build()
        .map_err(|error| format!("`tracing.otlp_endpoint` cannot be used: {error}."))
}

/// What came with a decision is recorded by that decision; the rest by the ratio.
fn tracer(config: &Config, resource: Resource, queue: Queue, random: Random) -> SdkTracer {
    let ratio = Sampler::TraceIdRatioBased(config.sample_ratio);
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_span_limits(SpanLimits::default())
        .with_id_generator(Ids(random))
        .with_resource(resource)
        .with_span_processor(queue)
        .build();
    let scope = InstrumentationScope::builder("bulkhead")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(super::genai::SCHEMA);
    provider.tracer_with_scope(scope.build())
}

struct Export {
    spans: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    batch_max: usize,
    batch_wait: Duration,
    within: Duration,
    flush: CancellationToken,
    /// Spans of the batch under way.
    sending: usize,
    failing: bool,
}

impl Export {
    async fn run(mut self, abort: CancellationToken) {
        let aborted = tokio::select! {
            biased;
            () = abort.cancelled() => true,
            () = self.work() => false,
        };
        if aborted {
            self.spans.close();
            let mut left = self.sending;
            while self.spans.try_recv().is_ok() {
                left += 1;
            }
            dropped(left, "stop");
            tracing::warn!(
                left,
                "the collector did not take the last spans before the host stopped"
            );
        }
    }

    async fn work(&mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            self.send(batch).await;
        }
    }

    /// The next batch; empty at the end.
    async fn gather(&mut self) -> Vec<SpanData> {
        let (mut batch, mut due) = (Vec::new(), None);
        while batch.len() < self.batch_max {
            let full = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let room = self.batch_max - batch.len();
            tokio::select! {
                biased;
                () = self.flush.cancelled(), if !self.spans.is_closed() => self.spans.close(),
                taken = self.spans.recv_many(&mut batch, room) => {
                    if taken == 0 {
                        break;
                    }
                    due.get_or_insert_with(|| Instant::now() + self.batch_wait);
                }
                () = full => break,
            }
        }
        batch
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        self.sending = spans;
        let sent = tokio::time::timeout(self.within, self.exporter.export(batch)).await;
        self.sending = 0;
        let error = match sent {
            Ok(Ok(())) => {
                metrics::counter!("bulkhead_trace_spans_exported_total").increment(spans as u64);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the collector takes spans again");
                }
                return;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        dropped(spans, "export");
        // Once for each time it goes wrong, however long that lasts.
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(
                error,
                "the collector takes no spans; they are dropped until it does"
            );
        }
    }
}
