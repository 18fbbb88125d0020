//! Cursors: where a page of a list begins. Opaque, signed with a key of the hosts, bound to the filter it was made
//! under.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Page;
use crate::kit::{Code, Error, Result};

pub const BAD_CURSOR: Code = Code::new("invalid_cursor", 400, "The cursor is not one of this list");

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;
const TAG_BYTES: usize = 16;

/// Where a page starts: after this row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub at: OffsetDateTime,
    pub id: Uuid,
}

/// Signs and reads cursors.
#[derive(Clone)]
pub struct Cursors(Hmac<Sha256>);

impl Cursors {
    /// `key` must be the same on every node, or a cursor would be good on one only.
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// The checked limit, and where to start. `filter` is every other parameter of the list, the org included.
    pub fn read(
        &self,
        cursor: Option<&str>,
        limit: Option<u32>,
        filter: &str,
    ) -> Result<(i64, Option<Cursor>)> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(Error::invalid(format!("`limit` must be 1 to {LIMIT_MAX}.")));
        }
        let start = cursor.map(|text| self.open(text, filter)).transpose()?;
        Ok((i64::from(limit), start))
    }

    /// A page of `rows`, which were asked for with one more than `limit`.
    pub fn page<R, T>(
        &self,
        mut rows: Vec<R>,
        limit: i64,
        filter: &str,
        view: impl Fn(R) -> (Cursor, T),
    ) -> Page<T> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let mut last = None;
        let data = rows
            .into_iter()
            .map(|row| {
                let (cursor, item) = view(row);
                last = Some(cursor);
                item
            })
            .collect();
        let next_cursor = last
            .filter(|_| more)
            .map(|cursor| self.seal(cursor, filter));
        Page { data, next_cursor }
    }

    fn seal(&self, cursor: Cursor, filter: &str) -> String {
        let mut bytes = cursor.at.unix_timestamp_nanos().to_be_bytes().to_vec();
        bytes.extend_from_slice(cursor.id.as_bytes());
        let tag = self.mac(&bytes, filter).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open(&self, text: &str, filter: &str) -> Result<Cursor> {
        let bad =
            || BAD_CURSOR.because("Use `next_cursor` as it was given, with the same filters.");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        if bytes.len() != 32 + TAG_BYTES {
            return Err(bad());
        }
        self.mac(&bytes[..32], filter)
            .verify_truncated_left(&bytes[32..])
            .map_err(|_| bad())?;
        let nanos = i128::from_be_bytes(bytes[..16].try_into().map_err(|_| bad())?);
        let id = Uuid::from_slice(&bytes[16..32]).map_err(|_| bad())?;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| bad())?;
        Ok(Cursor { at, id })
    }

    fn mac(&self, bytes: &[u8], filter: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(bytes);
        mac.update(filter.as_bytes());
        mac
    }
}

impl std::fmt::Debug for Cursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cursors")
    }
}
