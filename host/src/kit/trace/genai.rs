//! The GenAI names of OpenTelemetry's semantic conventions, version 1.41.0 (all of them in development there): the one
//! place that knows them. Rooms make their spans here.

use opentelemetry::trace::SpanKind;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use serde_json::json;

use super::New;
use super::span::Span;

/// The version of the conventions these names are of.
pub(super) const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";

const OPERATION_NAME: &str = "gen_ai.operation.name";
const PROVIDER_NAME: &str = "gen_ai.provider.name";
const AGENT_ID: &str = "gen_ai.agent.id";
const AGENT_NAME: &str = "gen_ai.agent.name";
const AGENT_VERSION: &str = "gen_ai.agent.version";
const CONVERSATION_ID: &str = "gen_ai.conversation.id";
const REQUEST_MODEL: &str = "gen_ai.request.model";
const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
const SERVER_ADDRESS: &str = "server.address";
const SERVER_PORT: &str = "server.port";

/// What is said, only where the operator wants it.
pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub const QUERY_TEXT: &str = "gen_ai.retrieval.query.text";

/// The host itself, where it is what answers.
const BULKHEAD: &str = "bulkhead";
/// Bytes of text that a span carries of each thing that was said.
pub const CONTENT_BYTES_MAX: usize = 4 << 10;

/// Who answers a generation.
#[derive(Clone, Debug)]
pub struct Provider {
    name: &'static str,
    server: Option<(String, u16)>,
}

impl Provider {
    /// The built-in model.
    pub fn built_in() -> Self {
        Self {
            name: BULKHEAD,
            server: None,
        }
    }

    /// Whoever speaks OpenAI's protocol at this address.
    pub fn openai(host: &str, port: u16) -> Self {
        Self {
            name: "openai",
            server: Some((host.to_owned(), port)),
        }
    }
}

/// A turn of an agent.
pub fn invoke_agent(id: String, name: &str, version: i32) -> New {
    let attributes = vec![
        KeyValue::new(OPERATION_NAME, "invoke_agent"),
        KeyValue::new(PROVIDER_NAME, BULKHEAD),
        KeyValue::new(AGENT_ID, id),
        KeyValue::new(AGENT_NAME, name.to_owned()),
        KeyValue::new(AGENT_VERSION, version.to_string()),
    ];
    New::of(
        format!("invoke_agent {name}"),
        SpanKind::Internal,
        attributes,
    )
}

/// The conversation a turn is one of.
pub fn conversation(span: &Span, id: String) {
    span.set(CONVERSATION_ID, id);
}

/// A generation, from its request to the last of it that was taken.
pub fn chat(model: &str, provider: &Provider) -> New {
    let mut attributes = vec![
        KeyValue::new(OPERATION_NAME, "chat"),
        KeyValue::new(PROVIDER_NAME, provider.name),
        KeyValue::new(REQUEST_MODEL, model.to_owned()),
    ];
    let mut kind = SpanKind::Internal;
    if let Some((host, port)) = &provider.server {
        kind = SpanKind::Client;
        attributes.push(KeyValue::new(SERVER_ADDRESS, host.clone()));
        attributes.push(KeyValue::new(SERVER_PORT, i64::from(*port)));
    }
    New::of(format!("chat {model}"), kind, attributes)
}

/// A search of the organization's knowledge.
pub fn retrieval() -> New {
    let attributes = vec![
        KeyValue::new(OPERATION_NAME, "retrieval"),
        KeyValue::new(PROVIDER_NAME, BULKHEAD),
    ];
    New::of("retrieval", SpanKind::Internal, attributes)
}

/// Tokens in and out.
pub fn usage(span: &Span, (input, output): (u64, u64)) {
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    span.set(INPUT_TOKENS, number(input));
    span.set(OUTPUT_TOKENS, number(output));
}

/// Of the tokens in, those the provider had in its cache.
pub fn cached(span: &Span, tokens: u64) {
    if tokens > 0 {
        span.set(CACHED_TOKENS, i64::try_from(tokens).unwrap_or(i64::MAX));
    }
}

/// Why a generation ended: `stop`, `length`, `tool_call` or `content_filter`.
pub fn finished(span: &Span, reason: &'static str) {
    let reasons = vec![StringValue::from(reason)];
    span.set(FINISH_REASONS, Value::Array(Array::String(reasons)));
}

/// Messages as the conventions write them: the last of them that fit, the first of those cut.
pub fn messages<'a>(
    said: impl DoubleEndedIterator<Item = (&'static str, std::borrow::Cow<'a, str>)>,
) -> String {
    let (mut kept, mut room) = (Vec::new(), CONTENT_BYTES_MAX);
    for (role, text) in said.rev() {
        if room == 0 {
            break;
        }
        let text = cut(&text, room);
        room = room.saturating_sub(text.len());
        kept.push(json!({ "role": role, "parts": [{ "type": "text", "content": text }] }));
    }
    kept.reverse();
    serde_json::Value::Array(kept).to_string()
}

/// No more of a text than a span carries.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
