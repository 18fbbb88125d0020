//! One row of the journal, and the intent that is written before an effect starts. Digests are taken here, so that a
//! request that differs, or a row that was altered by hand, is told from what the run knows.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::billing::Tokens;
use crate::sandbox::{Repeat, Ticket};

pub use crate::sandbox::journal::DIVERGED;

/// One answer from outside the guest.
#[derive(Clone, Debug)]
pub struct Step {
    pub seq: i32,
    pub kind: &'static str,
    pub request_digest: [u8; 32],
    pub request: String,
    pub response: String,
    pub response_digest: [u8; 32],
    pub started_at: OffsetDateTime,
    pub ended_at: OffsetDateTime,
    pub fuel_before: i64,
    pub ok: bool,
}

impl Step {
    pub fn new(ticket: &Ticket, response: &Value, ok: bool, ended_at: OffsetDateTime) -> Self {
        let response = response.to_string();
        Self {
            seq: ticket.seq,
            kind: ticket.kind,
            request_digest: request_digest(ticket.kind, &ticket.request),
            request: ticket.request.to_string(),
            response_digest: digest(&response),
            response,
            started_at: ticket.started_at,
            ended_at,
            fuel_before: i64::try_from(ticket.fuel_before).unwrap_or(i64::MAX),
            ok,
        }
    }

    /// What it holds in memory while it waits.
    pub fn bytes(&self) -> usize {
        self.request.len() + self.response.len()
    }
}

/// An effect that is about to start. Where the journal goes on from here, what stood behind it is forgotten.
#[derive(Clone, Debug)]
pub struct Intention {
    pub seq: i32,
    pub kind: &'static str,
    pub request_digest: [u8; 32],
    pub request: String,
    pub started_at: OffsetDateTime,
    pub fuel_before: i64,
    pub repeat: &'static str,
    pub attempt: i32,
    /// What earlier attempts cost, estimated.
    pub lost: Tokens,
    /// An earlier life went further: what it wrote behind this place is forgotten.
    pub rewrites: bool,
}

/// Requests are compared by kind and JSON text; `serde_json` orders the keys of its maps, so equal requests are
/// equal texts.
pub fn request_digest(kind: &str, request: &Value) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(kind.as_bytes());
    digest.update([0]);
    digest.update(request.to_string().as_bytes());
    digest.finalize().into()
}

pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// How the table calls it.
pub fn repeat_name(repeat: Repeat) -> &'static str {
    match repeat {
        Repeat::Continues => "continues",
        Repeat::Costs { .. } => "costs",
        Repeat::Keyed => "keyed",
        Repeat::Unsafe => "unsafe",
    }
}
