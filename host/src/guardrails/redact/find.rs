//! Finding what is to be redacted: at each place where something could begin, the recognisers are asked in order. Time
//! is linear: a recogniser reads a bounded stretch ahead, and is asked only where a word, number or mark begins.

use super::ahead::{Ahead, More, is_word};
use super::{Set, What, address, documents, keyed, numbers, secrets};

/// Something that is to be redacted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) what: What,
    /// Bytes before it that belong to its recognition and stay.
    pub(super) keep: usize,
    /// Bytes in all, those that stay included.
    pub(super) len: usize,
    pub(super) tail: Tail,
}

/// What else belongs to it, however much follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    Nothing,
    Token,
    Token68,
    Value,
    /// Up to the line that ends a private key.
    KeyBlock,
}

pub(super) type Seen = Result<Option<Found>, More>;

/// What stands first behind a place.
pub(super) enum Next {
    Nothing,
    /// Here something may begin; it cannot be told yet.
    Open(usize),
    Found(usize, Found),
}

type Recogniser = fn(Ahead<'_>) -> Seen;

/// The first of the set's things in `bytes` from `from` on. `before` is the byte before `bytes[from]`.
pub(super) fn next(set: Set, bytes: &[u8], from: usize, before: Option<u8>, end: bool) -> Next {
    let mut before = before;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        let begins = BEGINS[usize::from(*byte)];
        if begins != 0 && (begins & MARK != 0 || !is_word(before)) {
            match recognise(set, Ahead::new(&bytes[at..], end), before, begins) {
                Ok(None) => {}
                Ok(Some(found)) => return Next::Found(at, found),
                Err(More) => return Next::Open(at),
            }
        }
        before = Some(*byte);
    }
    Next::Nothing
}

const MARK: u8 = 1;
const LETTER: u8 = 2;
const NUMBER: u8 = 4;

/// What can begin with a byte.
static BEGINS: [u8; 256] = begins();

const fn begins() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        if b.is_ascii_alphabetic() {
            table[byte] = LETTER;
        } else if b.is_ascii_digit() || b == b'(' || b == b'+' {
            table[byte] = NUMBER;
        } else if b == b'_' {
            table[byte] = LETTER;
        }
        byte += 1;
    }
    table[b'-' as usize] = MARK;
    table[b':' as usize] = MARK | NUMBER;
    table
}

fn recognise(set: Set, ahead: Ahead<'_>, before: Option<u8>, begins: u8) -> Seen {
    if set.secrets {
        let asked: &[Recogniser] = match begins {
            LETTER => &[secrets::token, secrets::bearer, keyed::value],
            NUMBER => &[],
            _ => &[secrets::key_block, keyed::password_of_url],
        };
        if let Some(found) = first(asked, ahead)? {
            return Ok(Some(found));
        }
    }
    if set.pii {
        // A number that goes on from before is no number of its own: the fourth part of a version, a decimal.
        let goes_on = matches!(before, Some(b'.' | b'-' | b'_' | b'@' | b'/' | b'#'));
        let asked: &[Recogniser] = match begins {
            LETTER => &[address::email, documents::of_letters, address::ipv6],
            NUMBER if goes_on => &[address::email],
            NUMBER => &[
                address::email,
                address::ipv4,
                address::ipv6,
                documents::of_digits,
                numbers::card,
                numbers::phone,
            ],
            _ if is_word(before) => &[],
            _ => &[address::ipv6],
        };
        return first(asked, ahead);
    }
    Ok(None)
}

fn first(asked: &[Recogniser], ahead: Ahead<'_>) -> Seen {
    for recogniser in asked {
        if let Some(found) = recogniser(ahead)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
