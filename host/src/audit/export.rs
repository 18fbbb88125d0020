//! Exports: a page of rows is read, written and forgotten before the next one, so an export takes no more memory than a
//! page. `export.csv` is a filtered list for people; `export.jsonl` is the whole chain, for `bulkhead audit verify`.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest as _, Sha256};

use super::line::{CheckpointLine, End, EndLine, FORMAT, HeaderLine, InsideLine, KeyLine, RowLine};
use super::list::{Filter, Narrowed, place};
use super::{Audit, csv, store};
use crate::identity::Caller;
use crate::kit::http::Cursor;
use crate::kit::{Error, OrgId, Result};
use crate::ledger::audit::{self, checkpoint::micros};

const PAGE: i64 = 1_000;

impl Audit {
    /// The filtered list as CSV, newest first.
    pub fn csv(&self, caller: &Caller, source: &str, narrowed: &Narrowed) -> Result<Body> {
        let filter = self.filter(caller, source, narrowed)?;
        let pages = Pages {
            audit: self.clone(),
            filter,
            after: None,
            is_first: true,
        };
        Ok(Body::from_stream(stream::try_unfold(
            Some(pages),
            async |pages| match pages {
                Some(pages) => pages.next().await.inspect_err(broken).map(Some),
                None => Ok(None),
            },
        )))
    }

    /// The organization's whole chain with its checkpoints, closed by a signature over all of it.
    pub async fn chain(&self, caller: &Caller) -> Result<Body> {
        let db = &self.inner.base.db;
        let head = audit::head(db, caller.org).await?;
        let keys = audit::public_keys(db).await?.into_iter();
        let header = HeaderLine {
            bulkhead_audit: FORMAT,
            org: caller.org,
            keys: keys
                .map(|(id, public, _)| KeyLine {
                    id,
                    public_key: hex::encode(public),
                })
                .collect(),
        };
        let mut chain = Chain {
            audit: self.clone(),
            org: caller.org,
            at: 0,
            end: head.map_or(0, |(seq, _)| seq),
            digest: Sha256::new(),
            lines: Vec::new(),
        };
        chain.line(&header)?;
        Ok(Body::from_stream(stream::try_unfold(
            Some(chain),
            async |chain| match chain {
                Some(chain) => chain.next().await.inspect_err(broken).map(Some),
                None => Ok(None),
            },
        )))
    }
}

/// The answer has begun: all that is left is to break it off, which the client sees.
fn broken(error: &Error) {
    tracing::warn!(%error, cause = error.chain(), "an export broke off");
}

/// A filtered list, page by page.
struct Pages {
    audit: Audit,
    filter: Filter,
    after: Option<Cursor>,
    is_first: bool,
}

impl Pages {
    async fn next(mut self) -> Result<(Bytes, Option<Self>)> {
        let db = &self.audit.inner.base.db;
        let rows = store::list(db, &self.filter, (self.after, PAGE)).await?;
        let bytes = csv::of(&rows, self.is_first)?.into();
        self.is_first = false;
        self.after = rows.last().map(place);
        let more = usize::try_from(PAGE).is_ok_and(|page| rows.len() == page);
        Ok((bytes, more.then_some(self)))
    }
}

/// A chain, page by page, up to where it ended when the export began.
struct Chain {
    audit: Audit,
    org: OrgId,
    at: i64,
    end: i64,
    digest: Sha256,
    lines: Vec<u8>,
}

impl Chain {
    async fn next(mut self) -> Result<(Bytes, Option<Self>)> {
        if self.at == self.end {
            self.close()?;
            return Ok((self.taken(), None));
        }
        let db = self.audit.inner.base.db.clone();
        let rows = audit::rows(&db, self.org, (self.at, self.end), PAGE).await?;
        // Rows that are gone do not stop an export: it shows what there is, and does not verify.
        let last = rows.last().map_or(self.end, |row| row.seq);
        let signed = audit::checkpoints(&db, self.org, (self.at, last), PAGE).await?;
        let mut signed = signed.iter().peekable();
        for row in &rows {
            self.line(&RowLine::of(row)?)?;
            while let Some(checkpoint) = signed.next_if(|checkpoint| checkpoint.seq <= row.seq) {
                let checkpoint = CheckpointLine::of(checkpoint);
                self.line(&InsideLine { checkpoint })?;
            }
        }
        self.at = last;
        Ok((self.taken(), Some(self)))
    }

    fn line(&mut self, line: &impl serde::Serialize) -> Result<()> {
        let from = self.lines.len();
        serde_json::to_writer(&mut self.lines, line)?;
        self.lines.push(b'\n');
        self.digest.update(&self.lines[from..]);
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let inner = &self.audit.inner;
        let at = micros(inner.base.clock.now());
        let sha256 = self.digest.clone().finalize().into();
        let message = End::message(self.org.0, (self.end, at), &sha256);
        let end = End {
            seq: self.end,
            at_us: at,
            sha256: hex::encode(sha256),
            key: inner.signer.id.clone(),
            signature: hex::encode(inner.signer.sign(&message)),
        };
        self.line(&EndLine { end })
    }

    fn taken(&mut self) -> Bytes {
        std::mem::take(&mut self.lines).into()
    }
}
