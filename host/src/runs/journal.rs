//! The journal of a run: every answer from outside the guest passes here and becomes a step. A run that begins with
//! recorded steps is answered from them, in order; a request that differs from the recorded one ends it, loudly.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::log::{Record, Step};
use crate::kit::Code;
use crate::sandbox::{Begun, Journal, Meter, Ticket};

/// A step of an earlier life of the run.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub kind: String,
    pub request_digest: Vec<u8>,
    pub response: Value,
    pub ended_at: OffsetDateTime,
}

/// The journal of one life of a run.
#[derive(Debug)]
pub struct RunJournal {
    record: Arc<Record>,
    meter: Arc<Meter>,
    recorded: VecDeque<Recorded>,
    next: i32,
}

/// The run asked something else than in its earlier life.
pub const DIVERGED: Code = Code::new("diverged", 500, "The run differs from its journal");

impl RunJournal {
    pub fn new(record: Arc<Record>, meter: Arc<Meter>, recorded: VecDeque<Recorded>) -> Self {
        Self {
            record,
            meter,
            recorded,
            next: 1,
        }
    }
}

impl Journal for RunJournal {
    fn begin<'a>(
        &'a mut self,
        kind: &'static str,
        request: Value,
    ) -> BoxFuture<'a, wasmtime::Result<Begun>> {
        Box::pin(async move {
            let seq = self.next;
            self.next += 1;
            if let Some(step) = self.recorded.pop_front() {
                if step.kind != kind || step.request_digest != digest(kind, &request) {
                    let detail =
                        format!("Step {seq} was `{}`, the guest asked `{kind}`.", step.kind);
                    return Err(wasmtime::Error::new(DIVERGED.because(detail)));
                }
                self.meter.advance_to(step.ended_at);
                return Ok(Begun::Recorded(step.response));
            }
            // What was said before a call that may take long is on its way before the call is.
            self.record.flush().await.map_err(wasmtime::Error::new)?;
            let (fuel_before, started_at) = (self.meter.fuel(), self.record.now());
            Ok(Begun::Live(Ticket {
                seq,
                kind,
                request,
                fuel_before,
                started_at,
            }))
        })
    }

    fn end<'a>(
        &'a mut self,
        ticket: Ticket,
        response: Value,
        ok: bool,
    ) -> BoxFuture<'a, wasmtime::Result<()>> {
        Box::pin(async move {
            let ended_at = self.record.now();
            let step = Step {
                seq: ticket.seq,
                kind: ticket.kind,
                request_digest: digest(ticket.kind, &ticket.request),
                request: ticket.request.to_string(),
                response: response.to_string(),
                started_at: ticket.started_at,
                ended_at,
                fuel_before: i64::try_from(ticket.fuel_before).unwrap_or(i64::MAX),
                ok,
            };
            self.record.step(step).await.map_err(wasmtime::Error::new)?;
            self.meter.advance_to(ended_at);
            Ok(())
        })
    }
}

/// Requests are compared by kind and JSON text; `serde_json` orders the keys of its maps, so equal requests are
/// equal texts.
fn digest(kind: &str, request: &Value) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(kind.as_bytes());
    digest.update([0]);
    digest.update(request.to_string().as_bytes());
    digest.finalize().into()
}
