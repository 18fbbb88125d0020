//! The check of an export, without a host and without a database: reads it once, line by line, and names the first row
//! that is not what it was. What was signed outside the database is held against it.

use std::collections::HashMap;
use std::io::BufRead;

use sha2::{Digest as _, Sha256};

use super::line::{CHECKPOINT, END, EndLine, FORMAT, HeaderLine, InsideLine, ROW, RowLine, unhex};
use super::line::{CheckpointLine, End};
use crate::kit::OrgId;
use crate::ledger::audit::Checkpoint;
use crate::ledger::audit::chain::{GENESIS, Hash};
use crate::ledger::audit::checkpoint::key_id;

const LINE_BYTES_MAX: u64 = 1 << 20;

/// What is known besides the export.
#[derive(Debug, Default)]
pub struct Outside {
    /// Checkpoints kept outside the database.
    checkpoints: Vec<Checkpoint>,
    /// Keys that may have signed; any that the export names, where it is empty.
    keys: HashMap<String, [u8; 32]>,
}

/// What a sound export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    pub org: OrgId,
    pub rows: i64,
    /// Signed checkpoints inside the export.
    pub inside: u64,
    /// Checkpoints kept outside that it fits.
    pub outside: u64,
    /// The keys it was checked with were known before, and not only from the export itself.
    pub pinned: bool,
    /// When it was made, in microseconds since 1970.
    pub made_at: i64,
    pub key: String,
}

/// The first place that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Bad {
    pub line: u64,
    /// The row it is in, or behind, where rows had begun.
    pub row: Option<i64>,
    pub what: String,
}

impl Outside {
    /// Adds a key by its 64 hexadecimal digits.
    pub fn trust(&mut self, public_key: &str) -> Result<(), String> {
        let key = unhex(public_key).ok_or("a public key has 64 hexadecimal digits")?;
        self.keys.insert(key_id(&key), key);
        Ok(())
    }

    /// Adds a file of checkpoints, which brings the keys it was signed with unless some are trusted already.
    pub fn read(&mut self, file: &mut impl BufRead) -> Result<(), Bad> {
        let given = !self.keys.is_empty();
        let mut reader = Lines::new(file);
        let mut line = Vec::new();
        while reader.next(&mut line)? {
            let line: CheckpointLine =
                serde_json::from_slice(&line).map_err(|error| reader.bad(None, error))?;
            let checkpoint = line.read();
            let key = line.public_key.as_deref().and_then(unhex::<32>);
            let (Some(checkpoint), Some(key)) = (checkpoint, key) else {
                return Err(reader.bad(None, "this is no checkpoint"));
            };
            let known = !given || self.keys.get(&checkpoint.key_id) == Some(&key);
            if key_id(&key) != checkpoint.key_id || !known || !checkpoint.is_signed_by(&key) {
                let what = format!("its signature is not of the key `{}`", checkpoint.key_id);
                return Err(reader.bad(Some(checkpoint.seq), what));
            }
            self.keys.insert(key_id(&key), key);
            self.checkpoints.push(checkpoint);
        }
        Ok(())
    }
}

/// Reads an export to its end.
pub fn verify(export: &mut impl BufRead, outside: &Outside) -> Result<Sound, Bad> {
    let mut reader = Lines::new(export);
    let mut line = Vec::new();
    if !reader.next(&mut line)? {
        return Err(reader.bad(None, "the export is empty"));
    }
    let header: HeaderLine =
        serde_json::from_slice(&line).map_err(|error| reader.bad(None, error))?;
    if header.bulkhead_audit != FORMAT {
        return Err(reader.bad(None, "this is not an export that this version reads"));
    }
    let keys = keys(&header, outside).map_err(|what| reader.bad(None, what))?;
    let mut chain = Chain {
        org: header.org,
        keys,
        seq: 0,
        hash: GENESIS,
        inside: 0,
        matched: 0,
        waiting: waiting(header.org, outside),
    };
    loop {
        let row = Some(chain.seq);
        if !reader.next(&mut line)? {
            return Err(reader.bad(row, "the export is cut off: its last line is missing"));
        }
        if line.starts_with(END) {
            let sound = chain.end(&line, reader.digest(), !outside.keys.is_empty());
            let sound = sound.map_err(|what| reader.bad(row, what))?;
            return match reader.next(&mut line)? {
                false => Ok(sound),
                true => Err(reader.bad(row, "something follows the last line")),
            };
        }
        chain
            .take(&line)
            .map_err(|(row, what)| reader.bad(Some(row), what))?;
    }
}

/// The keys that may have signed: those given, else those the export names.
fn keys(header: &HeaderLine, outside: &Outside) -> Result<HashMap<String, [u8; 32]>, String> {
    let mut keys = HashMap::new();
    for key in &header.keys {
        let public = unhex::<32>(&key.public_key).filter(|public| key_id(public) == key.id);
        let public =
            public.ok_or_else(|| format!("the key `{}` is not what its name says", key.id))?;
        keys.insert(key.id.clone(), public);
    }
    if outside.keys.is_empty() {
        return Ok(keys);
    }
    Ok(outside.keys.clone())
}

/// The organization's checkpoints, the last first.
fn waiting(org: OrgId, outside: &Outside) -> Vec<Checkpoint> {
    let of_org = outside.checkpoints.iter().filter(|c| c.org == org.0);
    let mut waiting: Vec<Checkpoint> = of_org.cloned().collect();
    waiting.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.seq));
    waiting
}

struct Chain {
    org: OrgId,
    keys: HashMap<String, [u8; 32]>,
    seq: i64,
    hash: Hash,
    inside: u64,
    matched: u64,
    waiting: Vec<Checkpoint>,
}

impl Chain {
    /// A row or a checkpoint.
    fn take(&mut self, bytes: &[u8]) -> Result<(), (i64, String)> {
        if bytes.starts_with(ROW) {
            return self.row(bytes);
        }
        let here = |what: String| (self.seq, what);
        if !bytes.starts_with(CHECKPOINT) {
            return Err(here("this is neither a row nor a checkpoint".to_owned()));
        }
        let line: InsideLine = serde_json::from_slice(bytes).map_err(|e| here(e.to_string()))?;
        let checkpoint = line.checkpoint.read();
        let checkpoint = checkpoint.ok_or_else(|| here("this is no checkpoint".to_owned()))?;
        if checkpoint.org != self.org.0 || line.checkpoint.public_key.is_some() {
            return Err(here("this checkpoint is not of this export".to_owned()));
        }
        let signed = self.keys.get(&checkpoint.key_id);
        if !signed.is_some_and(|key| checkpoint.is_signed_by(key)) {
            let what = format!(
                "the checkpoint is not signed by a known key, but by `{}`",
                checkpoint.key_id
            );
            return Err(here(what));
        }
        self.fits(&checkpoint)?;
        self.inside += 1;
        Ok(())
    }

    fn row(&mut self, bytes: &[u8]) -> Result<(), (i64, String)> {
        let next = self.seq + 1;
        let row: RowLine<'_> =
            serde_json::from_slice(bytes).map_err(|error| (next, error.to_string()))?;
        if row.seq != next {
            return Err((
                next,
                format!("row {} stands where row {next} should", row.seq),
            ));
        }
        let hash = row.chained(self.org.0, &self.hash);
        if unhex(&row.hash) != Some(hash) {
            let what = format!(
                "row {next} is not what its hash was made of, or does not follow the row before it"
            );
            return Err((next, what));
        }
        (self.seq, self.hash) = (next, hash);
        while let Some(checkpoint) = self.waiting.pop_if(|checkpoint| checkpoint.seq <= next) {
            self.fits(&checkpoint)?;
            self.matched += 1;
        }
        Ok(())
    }

    /// Whether the chain is here what was signed.
    fn fits(&self, checkpoint: &Checkpoint) -> Result<(), (i64, String)> {
        if (checkpoint.seq, checkpoint.hash) == (self.seq, self.hash) {
            return Ok(());
        }
        let what = format!(
            "up to row {} the rows are not those that were signed at row {}",
            self.seq, checkpoint.seq
        );
        Err((self.seq, what))
    }

    fn end(&self, bytes: &[u8], before: Hash, pinned: bool) -> Result<Sound, String> {
        let line: EndLine = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if serde_json::to_vec(&line).ok().as_deref() != Some(bytes) {
            return Err("the last line is not written as a host writes it".to_owned());
        }
        let end = line.end;
        if end.seq != self.seq {
            return Err(format!(
                "it should end at row {}, and ends at row {}",
                end.seq, self.seq
            ));
        }
        if let Some(checkpoint) = self.waiting.last() {
            return Err(format!(
                "row {} was signed, and the rows end at {}: the tail is missing",
                checkpoint.seq, self.seq
            ));
        }
        let key = self.keys.get(&end.key);
        let key = key
            .ok_or_else(|| format!("the key that closed it, `{}`, is not a known one", end.key))?;
        let signed = Checkpoint::is_signature(
            key,
            &End::message(self.org.0, (end.seq, end.at_us), &before),
            unhex(&end.signature).ok_or("its last line has no signature")?,
        );
        if !signed || unhex(&end.sha256) != Some(before) {
            return Err(
                "something before its last line was altered after it was made, though no row was"
                    .to_owned(),
            );
        }
        Ok(Sound {
            org: self.org,
            rows: self.seq,
            inside: self.inside,
            outside: self.matched,
            pinned,
            made_at: end.at_us,
            key: end.key,
        })
    }
}

/// Lines with their numbers, and the digest of all before the last one that was read.
struct Lines<'a, R> {
    from: &'a mut R,
    line: u64,
    digest: Sha256,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn new(from: &'a mut R) -> Self {
        Self {
            from,
            line: 0,
            digest: Sha256::new(),
        }
    }

    /// Replaces the line before, which is digested, by the next one without its end; false behind the last.
    fn next(&mut self, line: &mut Vec<u8>) -> Result<bool, Bad> {
        if self.line > 0 {
            self.digest.update(&line);
            self.digest.update(b"\n");
        }
        line.clear();
        self.line += 1;
        let mut bounded = std::io::Read::take(&mut *self.from, LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', line);
        match read.map_err(|error| self.bad(None, error))? {
            0 => Ok(false),
            _ if line.pop() == Some(b'\n') => Ok(true),
            _ => Err(self.bad(
                None,
                "the line is cut off, or longer than any line of an export",
            )),
        }
    }

    fn digest(&self) -> Hash {
        self.digest.clone().finalize().into()
    }

    fn bad(&self, row: Option<i64>, what: impl ToString) -> Bad {
        Bad {
            line: self.line,
            row,
            what: what.to_string(),
        }
    }
}
