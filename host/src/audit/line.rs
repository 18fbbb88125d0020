//! The lines of `export.jsonl` and of the checkpoints' file: what is written, and what `verify` reads. Every chained
//! column is exact, so that the digest can be made again from the line alone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::kit::OrgId;
use crate::ledger::audit::chain::{Hash, Row};
use crate::ledger::audit::{Checkpoint, Stored};

/// How each kind of line begins.
pub(super) const ROW: &[u8] = b"{\"seq\":";
pub(super) const CHECKPOINT: &[u8] = b"{\"checkpoint\":";
pub(super) const END: &[u8] = b"{\"end\":";

/// The version of the format.
pub const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderLine {
    pub bulkhead_audit: u32,
    pub org: OrgId,
    /// Every key that ever signed.
    pub keys: Vec<KeyLine>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLine {
    pub id: String,
    /// ed25519, 64 hexadecimal digits.
    pub public_key: String,
}

/// One row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowLine<'a> {
    pub seq: i64,
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// Microseconds since 1970.
    pub at_us: i64,
    #[serde(borrow)]
    pub actor: Cow<'a, str>,
    #[serde(borrow)]
    pub actor_id: Cow<'a, str>,
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    #[serde(borrow)]
    pub target: Cow<'a, str>,
    #[serde(borrow)]
    pub target_id: Cow<'a, str>,
    pub changed: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub status: Cow<'a, str>,
    pub code: Option<Cow<'a, str>>,
    pub request_id: Option<Cow<'a, str>>,
    pub ip: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub detail: Option<&'a RawValue>,
    #[serde(borrow)]
    pub hash: Cow<'a, str>,
}

impl<'a> RowLine<'a> {
    pub(super) fn of(stored: &'a Stored) -> Result<Self, serde_json::Error> {
        let detail = stored.detail.as_deref().map(serde_json::from_str);
        Ok(Self {
            seq: stored.seq,
            source: (&*stored.source).into(),
            at_us: stored.row().at,
            actor: (&*stored.actor).into(),
            actor_id: (&*stored.actor_id).into(),
            action: (&*stored.action).into(),
            target: (&*stored.target).into(),
            target_id: (&*stored.target_id).into(),
            changed: stored.changed.iter().map(|field| field.into()).collect(),
            status: (&*stored.status).into(),
            code: stored.code.as_deref().map(Cow::from),
            request_id: stored.request_id.as_deref().map(Cow::from),
            ip: stored.ip.as_deref().map(Cow::from),
            detail: detail.transpose()?,
            hash: hex::encode(&stored.hash).into(),
        })
    }

    /// The hash of the row behind the one before it.
    pub(super) fn chained(&self, org: Uuid, before: &Hash) -> Hash {
        Row {
            org,
            seq: self.seq,
            source: &self.source,
            at: self.at_us,
            actor: &self.actor,
            actor_id: &self.actor_id,
            action: &self.action,
            target: &self.target,
            target_id: &self.target_id,
            changed: &self.changed,
            status: &self.status,
            code: self.code.as_deref(),
            request_id: self.request_id.as_deref(),
            ip: self.ip.as_deref(),
            detail: self.detail.map(RawValue::get),
        }
        .hash(before)
    }
}

/// A checkpoint: a line of the file, and what stands in `{"checkpoint":…}` of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    pub org: OrgId,
    pub seq: i64,
    pub hash: String,
    pub at_us: i64,
    pub key: String,
    pub signature: String,
    /// In the file only: an export names its keys once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InsideLine {
    pub(super) checkpoint: CheckpointLine,
}

/// What closes an export: where it ends, and a signature over every byte before this line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) end: End,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) seq: i64,
    pub(super) at_us: i64,
    pub(super) sha256: String,
    pub(super) key: String,
    pub(super) signature: String,
}

impl End {
    /// The bytes that are signed.
    pub(super) fn message(org: Uuid, (seq, at): (i64, i64), sha256: &Hash) -> Vec<u8> {
        [
            &b"bulkhead audit export 1\n"[..],
            org.as_bytes(),
            &seq.to_be_bytes(),
            &at.to_be_bytes(),
            sha256,
        ]
        .concat()
    }
}

impl CheckpointLine {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self {
            org: OrgId(checkpoint.org),
            seq: checkpoint.seq,
            hash: hex::encode(checkpoint.hash),
            at_us: checkpoint.at,
            key: checkpoint.key_id.clone(),
            signature: hex::encode(checkpoint.signature),
            public_key: None,
        }
    }

    pub(super) fn with_key(mut self, public: &[u8; 32]) -> Self {
        self.public_key = Some(hex::encode(public));
        self
    }

    /// None where a digest or the signature is no hexadecimal text of its length.
    pub(super) fn read(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            org: self.org.0,
            seq: self.seq,
            hash: unhex(&self.hash)?,
            at: self.at_us,
            key_id: self.key.clone(),
            signature: unhex(&self.signature)?,
        })
    }
}

/// Lower-case digits only: a text has one spelling.
pub(super) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}
