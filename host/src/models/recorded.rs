//! A generation as the journal holds it: what was taken of it, piece by piece, and its tokens.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::convert;
use crate::billing::caps::Dimension;
use crate::billing::{Tokens, meter};
use crate::guardrails::redact::Counts;
use crate::kit::trace::{Span, genai, kinds};
use crate::sandbox::bindings::bulkhead::agent::model as wit;
use crate::sandbox::journal::{TookMore, unreadable};

/// A generation as it is recorded.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) connection: String,
    pub(super) model: String,
    pub(super) chunks: VecDeque<wit::Chunk>,
    /// Tokens of the request, for a generation that has no count.
    pub(super) input_estimate: u64,
    /// What broke it off.
    pub(super) error: Option<wit::Error>,
    /// Credentials that were taken out of it.
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub(super) redacted: Counts,
    /// Parts of the provider's count that guests are not told.
    #[serde(default)]
    pub(super) cached_tokens: u64,
    #[serde(default)]
    pub(super) reasoning_tokens: u64,
}

/// The step's response.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Answer {
    Ok(Recorded),
    Err(wit::Error),
    /// A cap of the organization forbade it, and ended the run.
    Cap(Dimension),
}

impl Recorded {
    /// Keeps what was taken; `true` where nothing follows.
    pub(super) fn take_in(&mut self, piece: &Result<Option<wit::Chunk>, wit::Error>) -> bool {
        match piece {
            Ok(Some(chunk)) => {
                self.chunks.push_back(chunk.clone());
                matches!(chunk, wit::Chunk::Finish(_))
            }
            Ok(None) => true,
            Err(error) => {
                self.error = Some(error.clone());
                true
            }
        }
    }

    /// The provider's count, or an estimate of what was received, flagged.
    pub(super) fn tokens(&self) -> Tokens {
        let counted = self.chunks.iter().find_map(|chunk| match chunk {
            wit::Chunk::Finish(finish) => Some(&finish.usage),
            _ => None,
        });
        match counted {
            Some(usage) => Tokens {
                input: usage.input_tokens,
                output: usage.output_tokens,
                cached: self.cached_tokens,
                reasoning: self.reasoning_tokens,
                estimated: usage.estimated,
            },
            // Refused before anything was generated.
            None if self.chunks.is_empty() && self.error.is_some() => Tokens::default(),
            None => Tokens {
                input: self.input_estimate,
                output: meter::estimate(self.chunks.iter().map(convert::chars).sum()),
                estimated: true,
                ..Tokens::default()
            },
        }
    }

    /// Says in the run's trace what became of it.
    pub(super) fn tell(&self, span: &Span) {
        if !span.is_recording() {
            return;
        }
        let tokens = self.tokens();
        genai::usage(span, (tokens.input, tokens.output));
        genai::cached(span, tokens.cached);
        if tokens.estimated {
            span.set(kinds::ESTIMATED, true);
        }
        if let Some(wit::Chunk::Finish(finish)) = self.chunks.back() {
            genai::finished(span, convert::reason(finish.reason));
        } else if let Some(error) = &self.error {
            span.fail(convert::class(error));
        } else {
            span.set(kinds::CUT_SHORT, true);
        }
        span.content(genai::OUTPUT_MESSAGES, || {
            let mut text = String::new();
            for chunk in &self.chunks {
                if let wit::Chunk::Text(more) = chunk {
                    text.push_str(more);
                }
            }
            genai::messages(std::iter::once(("assistant", text.into())))
        });
    }

    pub(super) fn of(&self, seq: i32) -> meter::Of {
        meter::Of {
            seq,
            connection: self.connection.clone(),
            model: self.model.clone(),
        }
    }

    /// The next recorded piece, in a replay.
    pub(super) fn give_out(
        &mut self,
        ended: &mut bool,
    ) -> wasmtime::Result<Result<Option<wit::Chunk>, wit::Error>> {
        if *ended {
            return Ok(Ok(None));
        }
        let piece = match (self.chunks.pop_front(), self.error.take()) {
            (Some(chunk), error) => {
                self.error = error;
                Ok(Some(chunk))
            }
            (None, Some(error)) => Err(error),
            (None, None) => return Err(unreadable(TookMore)),
        };
        *ended = matches!(piece, Err(_) | Ok(Some(wit::Chunk::Finish(_))));
        Ok(piece)
    }
}

/// The tokens of a recorded generation, as its step's response states them: for runs that are ended from their
/// journal alone.
pub fn recorded_tokens(response: &str) -> Tokens {
    recorded_of(0, response).1
}

/// The same, with what generated it.
pub fn recorded_of(seq: i32, response: &str) -> (meter::Of, Tokens) {
    match serde_json::from_str(response) {
        Ok(Answer::Ok(recorded)) => (recorded.of(seq), recorded.tokens()),
        _ => (
            meter::Of {
                seq,
                ..meter::Of::default()
            },
            Tokens::default(),
        ),
    }
}
