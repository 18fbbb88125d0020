//! Credentials that can be told by what stands before them: `password=…`, `"api_key": "…"`, the password in a URL. What
//! stands before stays, so that JSON stays JSON.

use super::What;
use super::ahead::{Ahead, More};
use super::find::{Found, Seen, Tail};

/// Names whose value is a credential. Longer ones first: the first that fits is taken.
const NAMES: [&[u8]; 24] = [
    b"authorization",
    b"refresh_token",
    b"client_secret",
    b"access_token",
    b"private_key",
    b"credentials",
    b"secret_key",
    b"auth_token",
    b"access_key",
    b"credential",
    b"passphrase",
    b"secretkey",
    b"accesskey",
    b"api-token",
    b"api_token",
    b"password",
    b"id_token",
    b"api_key",
    b"api-key",
    b"apikey",
    b"passwd",
    b"secret",
    b"token",
    b"pwd",
];
/// Quotes, spaces and the like between a name and its value, each.
const GAP_MAX: usize = 4;
const QUOTED_MIN: usize = 4;
const BARE_MIN: usize = 8;
/// A value of prose is looked at so far.
const VALUE_MAX: usize = 64;

/// Whether a JSON field's name says that its value is a credential.
pub(super) fn is_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| *c != '-' && *c != '_')
        .flat_map(char::to_lowercase)
        .collect();
    NAMES.iter().any(|known| {
        let known = known.iter().filter(|b| **b != b'-' && **b != b'_');
        plain.bytes().eq(known.copied())
    })
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'\\' | b'`')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What a value can be made of.
pub(super) fn is_value(byte: u8) -> bool {
    byte > b' '
        && byte != 0x7f
        && !is_quote(byte)
        && !matches!(
            byte,
            b',' | b';' | b'&' | b'<' | b'>' | b'{' | b'}' | b'(' | b')' | b'[' | b']'
        )
}

/// A name, `=` or `:`, and a value.
pub(super) fn value(ahead: Ahead<'_>) -> Seen {
    let Some(named) = name(ahead)? else {
        return Ok(None);
    };
    let quoted = ahead.run(named, GAP_MAX, is_quote)?;
    let mark = ahead.run(quoted, GAP_MAX, is_space)?;
    let colon = match ahead.at(mark)? {
        b'=' => false,
        b':' => true,
        _ => return Ok(None),
    };
    let open = ahead.run(mark + 1, GAP_MAX, is_space)?;
    let keep = ahead.run(open, GAP_MAX, is_quote)?;
    // A place where a value is to be filled in is none; what follows `Bearer` is seen there.
    if matches!(ahead.at(keep)?, b'$' | b'%' | b'*' | b'=' | b'/')
        || ahead.has(keep, b"bearer ", true)?
    {
        return Ok(None);
    }
    let found = Found {
        what: What::Secret,
        keep,
        len: 0,
        tail: Tail::Value,
    };
    if keep > open {
        let end = ahead.run(keep, QUOTED_MIN, is_value)?;
        return Ok((end == keep + QUOTED_MIN).then_some(Found { len: end, ..found }));
    }
    let spaced = mark > quoted || open > mark + 1;
    bare(ahead, keep, colon || spaced).map(|end| end.map(|len| Found { len, ..found }))
}

/// Where a value without quotes ends. In prose, and beside spaces, it must look like a password to be one.
fn bare(ahead: Ahead<'_>, from: usize, strict: bool) -> Result<Option<usize>, More> {
    let end = ahead.run(from, VALUE_MAX, is_value)?;
    let value = ahead.slice(from, end);
    if end < from + VALUE_MAX && ahead.at(end)? == b'(' {
        return Ok(None);
    }
    let mixed = value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic);
    let long = if strict { BARE_MIN } else { QUOTED_MIN };
    Ok((value.len() >= long && (mixed || !strict)).then_some(end))
}

fn name(ahead: Ahead<'_>) -> Result<Option<usize>, More> {
    let first = ahead.at(0)?.to_ascii_lowercase();
    for name in NAMES {
        if name[0] == first && ahead.has(0, name, true)? {
            return Ok(Some(name.len()));
        }
    }
    Ok(None)
}

/// `://user:password@`: the password.
pub(super) fn password_of_url(ahead: Ahead<'_>) -> Seen {
    let part = |b: u8| is_value(b) && !matches!(b, b'/' | b':' | b'@' | b'?' | b'#');
    let secret = |b: u8| is_value(b) && !matches!(b, b'/' | b'@' | b'?' | b'#');
    if ahead.at(0)? != b':' || !ahead.has(0, b"://", false)? {
        return Ok(None);
    }
    let colon = ahead.run(3, 64, part)?;
    if ahead.at(colon)? != b':' {
        return Ok(None);
    }
    let end = ahead.run(colon + 1, 128, secret)?;
    let is_one = end > colon + 1 && ahead.at(end)? == b'@';
    Ok(is_one.then_some(Found {
        what: What::Secret,
        keep: colon + 1,
        len: end,
        tail: Tail::Nothing,
    }))
}
