//! What the host is told of traces, and the check of it: a mistake is one error at the start.

use std::collections::{BTreeMap, HashMap};

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::kit::Secret;

const NAME_BYTES_MAX: usize = 255;
const QUEUE_MAX: usize = 1 << 20;
/// Where a collector takes traces, below its base address.
const PATH: [&str; 2] = ["v1", "traces"];

/// Traces and their limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The base address of an OTLP collector, such as `http://127.0.0.1:4318`. Without one there are no traces.
    pub otlp_endpoint: String,
    /// Headers of every export, such as `authorization`. Secrets: never shown.
    #[serde(skip_serializing)]
    pub headers: BTreeMap<String, Secret>,
    /// What this host is called in a trace.
    pub service_name: String,
    /// How much is recorded of what nobody else has decided on, 0 to 1.
    pub sample_ratio: f64,
    /// Whether spans carry what was asked and answered, without credentials and cut.
    pub content: bool,
    /// Spans that wait to be sent; what comes beyond is dropped and counted.
    pub queue_spans: usize,
    /// Spans in one export, and how long the first of them waits for others.
    pub batch_spans: usize,
    pub batch_wait_ms: u64,
    /// The longest an export may take, tries together.
    pub export_ms: u64,
    /// How long a stopping host sends what is left.
    pub flush_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            headers: BTreeMap::new(),
            service_name: "bulkhead".to_owned(),
            sample_ratio: 1.0,
            content: false,
            queue_spans: 8_192,
            batch_spans: 512,
            batch_wait_ms: 1_000,
            export_ms: 10_000,
            flush_ms: 3_000,
        }
    }
}

/// A collector as it is spoken to.
pub(super) struct Collector {
    pub(super) url: Url,
    pub(super) headers: HashMap<String, String>,
}

impl Config {
    /// The collector, if there is one; `Err` says what to change.
    pub(super) fn collector(&self) -> Result<Option<Collector>, String> {
        if self.otlp_endpoint.is_empty() {
            return Ok(None);
        }
        let url =
            url(&self.otlp_endpoint).map_err(|what| format!("`tracing.otlp_endpoint` {what}."))?;
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err("`tracing.sample_ratio` must be 0 to 1.".to_owned());
        }
        if self.service_name.is_empty() || self.service_name.len() > NAME_BYTES_MAX {
            return Err(format!(
                "`tracing.service_name` must have 1 to {NAME_BYTES_MAX} bytes."
            ));
        }
        if !(1..=QUEUE_MAX).contains(&self.queue_spans)
            || !(1..=self.queue_spans).contains(&self.batch_spans)
        {
            return Err(format!(
                "`tracing.queue_spans` must be 1 to {QUEUE_MAX}, and `tracing.batch_spans` 1 to as many."
            ));
        }
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| header(name, value.expose()));
        Ok(Some(Collector {
            url,
            headers: headers.collect::<Result<_, _>>()?,
        }))
    }
}

fn url(text: &str) -> Result<Url, &'static str> {
    let such_as = "must be an http or https address, such as http://127.0.0.1:4318";
    let mut url = Url::parse(text).map_err(|_| such_as)?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(such_as);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no credentials: put them into `tracing.headers`");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must hold no query and no fragment");
    }
    if url.path().trim_end_matches('/').ends_with("/v1/traces") {
        return Err("is the base address: leave out /v1/traces, which is added");
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(PATH);
    }
    Ok(url)
}

/// The value is not shown: it may be a key that was pasted wrongly.
fn header(name: &str, value: &str) -> Result<(String, String), String> {
    let known = HeaderName::try_from(name)
        .map_err(|_| format!("`tracing.headers`: {name:?} cannot name a header."))?;
    if HeaderValue::try_from(value).is_err() || value.is_empty() {
        return Err(format!(
            "`tracing.headers.{known}`: the value is empty or holds what a header cannot carry."
        ));
    }
    Ok((known.as_str().to_owned(), value.to_owned()))
}
