//! Redacting what comes in pieces: however it is cut, what comes out is what the whole would be. Held back is only what
//! may be the beginning of something, and never more than a few hundred bytes of it.

use super::ahead::{is_token, is_token68};
use super::find::{Found, Next, Tail, next};
use super::keyed::is_value;
use super::{Counts, Set};

/// How the end of a private key is told.
const CLOSES: &[u8] = b"-----END ";
/// What its name and its dashes may take.
const CLOSING_MAX: usize = 64;

/// A text under way.
#[derive(Clone, Debug)]
pub struct Stream {
    set: Set,
    /// The byte before what is held back.
    before: Option<u8>,
    held: Vec<u8>,
    /// What is being swallowed.
    tail: Tail,
    counts: Counts,
}

impl Stream {
    pub fn new(set: Set) -> Self {
        Self {
            set,
            before: None,
            held: Vec::new(),
            tail: Tail::Nothing,
            counts: Counts::default(),
        }
    }

    /// What can be let out once `bytes` have come.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        self.work(false)
    }

    /// The rest: nothing follows.
    pub fn end(&mut self) -> Vec<u8> {
        self.work(true)
    }

    /// The same for text. What is held back begins with an ASCII character, so what comes out is text too.
    pub fn text(&mut self, text: &str) -> String {
        as_text(self.push(text.as_bytes()))
    }

    pub fn rest(&mut self) -> String {
        as_text(self.end())
    }

    /// What was redacted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The same, once.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn work(&mut self, end: bool) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.held);
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        loop {
            at = match self.swallow(&bytes, at, end) {
                Ok(at) => at,
                Err(from) => {
                    self.held = bytes[from..].to_vec();
                    return out;
                }
            };
            match next(self.set, &bytes, at, self.before, end) {
                Next::Nothing => {
                    self.let_out(&bytes[at..], &mut out);
                    return out;
                }
                Next::Open(open) => {
                    self.let_out(&bytes[at..open], &mut out);
                    self.held = bytes[open..].to_vec();
                    return out;
                }
                Next::Found(place, found) => {
                    out.extend_from_slice(&bytes[at..place + found.keep]);
                    out.extend_from_slice(found.what.placeholder().as_bytes());
                    at = place + found.len;
                    self.begin(found, bytes.get(at - 1).copied());
                }
            }
        }
    }

    fn begin(&mut self, found: Found, last: Option<u8>) {
        self.counts.add(found.what);
        self.tail = found.tail;
        self.before = last;
    }

    fn let_out(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
        self.before = bytes.last().copied().or(self.before);
    }

    /// Passes over what belongs to the last finding; where it goes on behind the bytes, `Err` says from where on they
    /// are needed again.
    fn swallow(&mut self, bytes: &[u8], from: usize, end: bool) -> Result<usize, usize> {
        let class = match self.tail {
            Tail::Nothing => return Ok(from),
            Tail::Token => is_token,
            Tail::Token68 => is_token68,
            Tail::Value => is_value,
            Tail::KeyBlock => return self.swallow_key(bytes, from, end),
        };
        let passed = bytes[from..].iter().take_while(|b| class(**b)).count();
        let at = from + passed;
        if passed > 0 {
            self.before = Some(bytes[at - 1]);
        }
        if at == bytes.len() && !end {
            return Err(at);
        }
        self.tail = Tail::Nothing;
        Ok(at)
    }

    /// Up to the line that ends a key, however many lines only begin like one.
    fn swallow_key(&mut self, bytes: &[u8], from: usize, end: bool) -> Result<usize, usize> {
        let mut from = from;
        loop {
            let rest = &bytes[from..];
            let close = rest.windows(CLOSES.len()).position(|w| w == CLOSES);
            let Some(close) = close else {
                // The mark may be cut here.
                return match end {
                    true => Ok(bytes.len()),
                    false => Err(bytes.len() - rest.len().min(CLOSES.len() - 1)),
                };
            };
            let behind = close + CLOSES.len();
            let name = &rest[behind..rest.len().min(behind + CLOSING_MAX)];
            match name.windows(5).position(|w| w == b"-----") {
                Some(dashes) => {
                    self.tail = Tail::Nothing;
                    self.before = Some(b'-');
                    return Ok(from + behind + dashes + 5);
                }
                None if end => return Ok(bytes.len()),
                None if name.len() < CLOSING_MAX => return Err(from + close),
                // No end of a key: it goes on.
                None => from += behind,
            }
        }
    }
}

fn as_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}
