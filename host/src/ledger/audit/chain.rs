//! The chain's arithmetic, and nothing else: which bytes of a row are digested. Used where rows are appended, where
//! they are verified, and without a database.
//!
//! `hash = SHA-256("bulkhead audit 1\n" ‖ hash before ‖ fields)`; the hash before the first row is 32 zero bytes.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A digest in the chain.
pub type Hash = [u8; 32];

/// Before the first row.
pub const GENESIS: Hash = [0; 32];

const DOMAIN: &[u8] = b"bulkhead audit 1\n";

/// A row as it is digested. Fields are taken in this order: numbers big-endian in 8 bytes, a text as its length and
/// its UTF-8 bytes, a text that may be absent after a byte 0 or 1, a list as its length and its texts.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, T> {
    pub org: Uuid,
    pub seq: i64,
    pub source: &'a str,
    /// Microseconds since 1970.
    pub at: i64,
    pub actor: &'a str,
    pub actor_id: &'a str,
    pub action: &'a str,
    pub target: &'a str,
    pub target_id: &'a str,
    pub changed: &'a [T],
    pub status: &'a str,
    pub code: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub ip: Option<&'a str>,
    /// The JSON text, to the byte.
    pub detail: Option<&'a str>,
}

impl<T: AsRef<str>> Row<'_, T> {
    /// The row's hash, behind the hash of the row before it.
    pub fn hash(&self, before: &Hash) -> Hash {
        let mut bytes = Bytes(Sha256::new());
        bytes.0.update(DOMAIN);
        bytes.0.update(before);
        bytes.0.update(self.org.as_bytes());
        bytes.number(self.seq);
        bytes.text(self.source);
        bytes.number(self.at);
        for text in [
            self.actor,
            self.actor_id,
            self.action,
            self.target,
            self.target_id,
        ] {
            bytes.text(text);
        }
        bytes.number(self.changed.len() as i64);
        for field in self.changed {
            bytes.text(field.as_ref());
        }
        bytes.text(self.status);
        for text in [self.code, self.request_id, self.ip, self.detail] {
            bytes.maybe(text);
        }
        bytes.0.finalize().into()
    }
}

struct Bytes(Sha256);

impl Bytes {
    fn number(&mut self, number: i64) {
        self.0.update(number.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_be_bytes());
        self.0.update(text);
    }

    fn maybe(&mut self, text: Option<&str>) {
        match text {
            None => self.0.update([0]),
            Some(text) => {
                self.0.update([1]);
                self.text(text);
            }
        }
    }
}
