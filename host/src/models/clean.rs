//! Keeping credentials out of what models are asked and answer: out of the journal, the provider's request and the
//! guest's memory alike, so that every life of a run sees the same.

use super::guest::told;
use super::{Chunk, Stream};
use crate::guardrails::redact::{self, Counts};
use crate::guardrails::{At, Guard};
use crate::sandbox::bindings::bulkhead::agent::model as wit;

/// What a guest is given next.
pub(super) type Piece = Result<Option<wit::Chunk>, wit::Error>;

/// A live generation without credentials: text is let out as far as it can hold none.
#[derive(Debug)]
pub(super) struct Clean {
    stream: Stream,
    text: redact::Stream,
    counts: Counts,
    /// Parts of the provider's count that guests are not told.
    parts: (u64, u64),
    /// What follows text that was held back.
    next: Option<Piece>,
}

impl Clean {
    pub(super) fn new(stream: Stream, guard: &Guard) -> Self {
        Self {
            stream,
            text: guard.stream(At::Model),
            counts: Counts::default(),
            parts: (0, 0),
            next: None,
        }
    }

    pub(super) async fn next(&mut self, guard: &Guard) -> wasmtime::Result<Piece> {
        if let Some(piece) = self.next.take() {
            return Ok(piece);
        }
        loop {
            let mut piece = match self.stream.next().await {
                Ok(Some(Chunk::Text(text))) => {
                    let text = self.text.text(&text);
                    if text.is_empty() {
                        continue;
                    }
                    return Ok(Ok(Some(wit::Chunk::Text(text))));
                }
                Ok(chunk) => {
                    if let Some(Chunk::Finish(finish)) = &chunk {
                        self.parts = (finish.cached_tokens, finish.reasoning_tokens);
                    }
                    Ok(chunk.map(wit::Chunk::from))
                }
                Err(error) => Err(told(error)?),
            };
            match &mut piece {
                Ok(Some(wit::Chunk::ToolCall(call))) => guard.clean(At::Model, &mut call.arguments),
                Err(error) => self::error(guard, error),
                Ok(_) => {}
            }
            let rest = self.text.rest();
            guard.redacted(At::Model, &self.text.counts());
            self.counts.join(&self.text.counts());
            self.text = guard.stream(At::Model);
            if rest.is_empty() {
                return Ok(piece);
            }
            self.next = Some(piece);
            return Ok(Ok(Some(wit::Chunk::Text(rest))));
        }
    }

    /// Cached tokens of what was asked, and those of reasoning.
    pub(super) fn parts(&self) -> (u64, u64) {
        self.parts
    }

    /// Credentials that were taken out of its text.
    pub(super) fn redacted(&self) -> Counts {
        let mut counts = self.counts;
        counts.join(&self.text.counts());
        counts
    }
}

pub(super) fn error(guard: &Guard, error: &mut wit::Error) {
    match error {
        wit::Error::Invalid(text)
        | wit::Error::UnknownModel(text)
        | wit::Error::Provider(text)
        | wit::Error::Broken(text) => guard.clean(At::Model, text),
        wit::Error::RateLimited(_) => {}
    }
}

/// Every text of a request; tools that the guardrails do not allow are not offered.
pub(super) fn request(guard: &Guard, request: &mut wit::Request) {
    let clean = |text: &mut String| guard.clean(At::Model, text);
    request.tools.retain(|tool| guard.offers(&tool.name));
    for tool in &mut request.tools {
        clean(&mut tool.description);
        clean(&mut tool.input_schema);
    }
    for part in request
        .messages
        .iter_mut()
        .flat_map(|message| &mut message.parts)
    {
        match part {
            wit::Part::Text(text) => clean(text),
            wit::Part::Passages(passages) => {
                for passage in passages {
                    clean(&mut passage.title);
                    clean(&mut passage.text);
                }
            }
            wit::Part::ToolCall(call) => clean(&mut call.arguments),
            wit::Part::ToolResult(result) => clean(&mut result.content),
        }
    }
}
