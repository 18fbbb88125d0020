//! Addresses: of mail, and of machines.

use std::net::Ipv6Addr;

use super::What;
use super::ahead::{Ahead, More};
use super::find::{Found, Seen, Tail};

const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 190;

pub(super) fn found(what: What, len: usize) -> Found {
    Found {
        what,
        keep: 0,
        len,
        tail: Tail::Nothing,
    }
}

pub(super) fn email(ahead: Ahead<'_>) -> Seen {
    let local = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'%' | b'+' | b'-');
    let first = ahead.at(0)?;
    if !first.is_ascii_alphanumeric() && first != b'_' && first != b'+' {
        return Ok(None);
    }
    let at = ahead.run(0, LOCAL_MAX, local)?;
    if ahead.at(at)? != b'@' || ahead.first(at).ends_with(b".") {
        return Ok(None);
    }
    let domain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let end = ahead.run(at + 1, DOMAIN_MAX, domain)?;
    if end == at + 1 + DOMAIN_MAX {
        return Ok(None);
    }
    let name = ahead.slice(at + 1, end);
    let kept = name.iter().rposition(u8::is_ascii_alphanumeric);
    let name = &name[..kept.map_or(0, |last| last + 1)];
    let mut labels = name.split(|b| *b == b'.').rev();
    let top = labels.next().unwrap_or_default();
    let plain = top.iter().all(u8::is_ascii_alphabetic) || top.starts_with(b"xn--");
    let whole = labels.clone().count() > 0 && labels.all(|label| !label.is_empty());
    Ok((plain && top.len() >= 2 && whole).then(|| found(What::Email, at + 1 + name.len())))
}

pub(super) fn ipv4(ahead: Ahead<'_>) -> Seen {
    let mut at = 0;
    for part in 0..4 {
        let from = at;
        at = ahead.run(from, 4, |b| b.is_ascii_digit())?;
        if !(1..=3).contains(&(at - from)) || number(ahead.slice(from, at)) > 255 {
            return Ok(None);
        }
        if part < 3 {
            if ahead.at(at)? != b'.' {
                return Ok(None);
            }
            at += 1;
        }
    }
    // A fifth part makes it a number of sections.
    let next = ahead.at(at)?;
    let goes_on = next.is_ascii_alphanumeric()
        || (next == b'.' && ahead.at(at + 1)?.is_ascii_digit())
        || next == b'-' && ahead.at(at + 1)?.is_ascii_digit();
    Ok((!goes_on).then(|| found(What::Ip, at)))
}

fn number(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

const IPV6_MAX: usize = 46;

pub(super) fn ipv6(ahead: Ahead<'_>) -> Seen {
    if !is_ipv6(ahead.at(0)?) {
        return Ok(None);
    }
    let end = ahead.run(0, IPV6_MAX, is_ipv6)?;
    if end == IPV6_MAX || ahead.at(end)?.is_ascii_alphanumeric() {
        return Ok(None);
    }
    trimmed(ahead, end)
}

fn is_ipv6(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

/// A sentence's own point or colon behind it is not the address's.
fn trimmed(ahead: Ahead<'_>, mut end: usize) -> Result<Option<Found>, More> {
    let text = ahead.first(end);
    if text.iter().filter(|b| **b == b':').count() < 2 {
        return Ok(None);
    }
    for _ in 0..2 {
        let text = std::str::from_utf8(ahead.first(end)).unwrap_or_default();
        let digits = text.bytes().any(|b| b.is_ascii_digit());
        if digits && text.len() >= 6 && text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Some(found(What::Ip, end)));
        }
        match text.bytes().last() {
            Some(b'.' | b':') => end -= 1,
            _ => break,
        }
    }
    Ok(None)
}
