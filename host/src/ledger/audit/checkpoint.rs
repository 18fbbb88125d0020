//! A checkpoint: "the chain of this organization had this hash at this row", signed with ed25519. Made by the `audit`
//! room, checked there, offline, and by the invariants. Nothing here knows a secret.

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::chain::Hash;

const DOMAIN: &[u8] = b"bulkhead audit checkpoint 1\n";

/// What is signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub org: Uuid,
    pub seq: i64,
    pub hash: Hash,
    /// Microseconds since 1970.
    pub at: i64,
    /// Names the key; see `key_id`.
    pub key_id: String,
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// The bytes that are signed: the domain, the organization, the row's number, its hash, the time, big-endian.
    pub fn message(org: Uuid, (seq, hash): (i64, &Hash), at: i64) -> Vec<u8> {
        [
            DOMAIN,
            org.as_bytes(),
            &seq.to_be_bytes(),
            hash,
            &at.to_be_bytes(),
        ]
        .concat()
    }

    /// Whether this key signed it.
    pub fn is_signed_by(&self, public: &[u8; 32]) -> bool {
        let message = Self::message(self.org, (self.seq, &self.hash), self.at);
        Self::is_signature(public, &message, self.signature)
    }

    /// Whether `signature` is this key's of these bytes.
    pub fn is_signature(public: &[u8; 32], message: &[u8], signature: [u8; 64]) -> bool {
        let signature = Signature::from_bytes(&signature);
        VerifyingKey::from_bytes(public)
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

/// A key's name: the first eight bytes of its digest, so that a name belongs to one key.
pub fn key_id(public: &[u8; 32]) -> String {
    hex::encode(&Sha256::digest(public)[..8])
}

pub fn micros(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}
