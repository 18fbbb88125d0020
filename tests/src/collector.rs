//! A collector of traces: a receiver whose bodies are read with OTLP's own types, and that misbehaves like any. Every
//! test of traces has one.

use std::collections::BTreeMap;

use bulkhead::config::Config;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use serde_json::{Value, json};

use crate::host::eventually;
use crate::receiver::{Got, Receiver};

/// A span as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub name: String,
    pub kind: i32,
    pub trace: String,
    pub id: String,
    /// Empty in the first of a trace.
    pub parent: String,
    pub attributes: BTreeMap<String, Value>,
    pub failed: bool,
    /// What the host calls itself.
    pub service: Value,
    /// The version of the names.
    pub schema: String,
}

impl Span {
    pub fn get(&self, name: &str) -> Value {
        self.attributes.get(name).cloned().unwrap_or(Value::Null)
    }
}

/// A collector on a port of its own, gone when dropped.
#[derive(Debug)]
pub struct Collector {
    pub receiver: Receiver,
}

impl Collector {
    pub async fn start() -> Self {
        Self {
            receiver: Receiver::start().await,
        }
    }

    /// Has a host send its traces here, soon.
    pub fn of(&self, config: &mut Config) {
        config.tracing.otlp_endpoint = self.receiver.url("");
        config.tracing.batch_wait_ms = 5;
    }

    pub fn exports(&self) -> Vec<Got> {
        self.receiver.got()
    }

    /// Every span it was sent, in the order of their ends.
    pub fn spans(&self) -> Vec<Span> {
        self.exports().iter().flat_map(spans).collect()
    }

    /// The spans of that name.
    pub fn named(&self, name: &str) -> Vec<Span> {
        let mut spans = self.spans();
        spans.retain(|span| span.name == name);
        spans
    }

    /// The one span of that name, once it is there.
    pub async fn one(&self, name: &str) -> Span {
        eventually(name, async || !self.named(name).is_empty()).await;
        let mut spans = self.named(name);
        assert_eq!(spans.len(), 1, "{name}: {spans:#?}");
        spans.remove(0)
    }
}

fn spans(got: &Got) -> Vec<Span> {
    assert_eq!(got.path, "/v1/traces");
    assert_eq!(got.header("content-type"), "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(&*got.body).expect("an export is OTLP");
    let mut spans = Vec::new();
    for of_host in request.resource_spans {
        let attributes = of_host.resource.unwrap_or_default().attributes;
        let service = map(&attributes)
            .get("service.name")
            .cloned()
            .unwrap_or_default();
        for scope in of_host.scope_spans {
            spans.extend(scope.spans.into_iter().map(|span| {
                Span {
                    kind: span.kind,
                    trace: hex::encode(&span.trace_id),
                    id: hex::encode(&span.span_id),
                    parent: hex::encode(&span.parent_span_id),
                    attributes: map(&span.attributes),
                    failed: span
                        .status
                        .is_some_and(|status| status.code == StatusCode::Error as i32),
                    service: service.clone(),
                    schema: scope.schema_url.clone(),
                    name: span.name,
                }
            }));
        }
    }
    spans
}

fn map(attributes: &[KeyValue]) -> BTreeMap<String, Value> {
    let pairs = attributes.iter();
    pairs
        .map(|pair| {
            (
                pair.key.clone(),
                pair.value.as_ref().map_or(Value::Null, value),
            )
        })
        .collect()
}

fn value(any: &AnyValue) -> Value {
    match &any.value {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(is)) => json!(is),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(array)) => array.values.iter().map(value).collect(),
        _ => Value::Null,
    }
}
