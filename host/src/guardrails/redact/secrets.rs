//! Credentials that can be told by how they look: tokens with a known beginning, JWTs, what follows `Bearer`, private
//! keys.

use super::What;
use super::ahead::{Ahead, is_token, is_token68};
use super::find::{Found, Seen, Tail};

/// How a token begins, how much of it must follow, and whether a digit must be in it.
const TOKENS: [(&[u8], usize, bool); 21] = [
    (b"bh_", 16, true),
    (b"sk-", 20, true),
    (b"sk_live_", 16, false),
    (b"sk_test_", 16, false),
    (b"rk_live_", 16, false),
    (b"rk_test_", 16, false),
    (b"whsec_", 16, false),
    (b"AKIA", 16, false),
    (b"ASIA", 16, false),
    (b"AIza", 30, false),
    (b"ghp_", 20, false),
    (b"gho_", 20, false),
    (b"ghs_", 20, false),
    (b"ghu_", 20, false),
    (b"github_pat_", 20, false),
    (b"glpat-", 16, false),
    (b"xoxb-", 16, false),
    (b"xoxp-", 16, false),
    (b"xoxa-", 16, false),
    (b"npm_", 30, false),
    (b"hf_", 30, false),
];
/// A digit is looked for in so much of a token.
const LOOKED_AT: usize = 64;
/// Of a JWT: its head and what follows the dot.
const HEAD_MIN: usize = 8;
const HEAD_MAX: usize = 512;

fn secret(len: usize, tail: Tail) -> Found {
    Found {
        what: What::Secret,
        keep: 0,
        len,
        tail,
    }
}

pub(super) fn token(ahead: Ahead<'_>) -> Seen {
    for (prefix, least, digit) in TOKENS {
        if ahead.at(0)? != prefix[0] || !ahead.has(0, prefix, false)? {
            continue;
        }
        let from = prefix.len();
        let mut end = ahead.run(from, least, is_token)?;
        if end < from + least {
            continue;
        }
        while digit && !ahead.slice(from, end).iter().any(u8::is_ascii_digit) {
            if end >= from + LOOKED_AT || !is_token(ahead.at(end)?) {
                return Ok(None);
            }
            end += 1;
        }
        if prefix[0] == b'A' && prefix.len() == 4 && !is_upper_token(ahead.slice(from, end), prefix)
        {
            continue;
        }
        return Ok(Some(secret(end, Tail::Token)));
    }
    jwt(ahead)
}

/// Keys of a cloud are capitals and digits only.
fn is_upper_token(rest: &[u8], prefix: &[u8]) -> bool {
    prefix == b"AIza"
        || rest
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn jwt(ahead: Ahead<'_>) -> Seen {
    if !ahead.has(0, b"eyJ", false)? {
        return Ok(None);
    }
    let dot = ahead.run(3, HEAD_MAX, is_token)?;
    if dot >= 3 + HEAD_MAX {
        // No word is that long: it is taken for a head whose dot is to come.
        return Ok(Some(secret(dot, Tail::Token68)));
    }
    if dot < 3 + HEAD_MIN || ahead.at(dot)? != b'.' {
        return Ok(None);
    }
    let end = ahead.run(dot + 1, HEAD_MIN, is_token)?;
    Ok((end == dot + 1 + HEAD_MIN).then(|| secret(end, Tail::Token68)))
}

/// `Bearer` and a token; the word stays.
pub(super) fn bearer(ahead: Ahead<'_>) -> Seen {
    const LEAST: usize = 16;
    if !ahead.has(0, b"bearer", true)? {
        return Ok(None);
    }
    let keep = ahead.run(6, 4, |b| b == b' ')?;
    if keep == 6 {
        return Ok(None);
    }
    let mut end = ahead.run(keep, LEAST, is_token68)?;
    if end < keep + LEAST {
        return Ok(None);
    }
    while !ahead.slice(keep, end).iter().any(u8::is_ascii_digit) {
        if end >= keep + LOOKED_AT || !is_token68(ahead.at(end)?) {
            return Ok(None);
        }
        end += 1;
    }
    Ok(Some(Found {
        keep,
        ..secret(end, Tail::Token68)
    }))
}

/// `-----BEGIN … PRIVATE KEY-----` and what follows up to its end.
pub(super) fn key_block(ahead: Ahead<'_>) -> Seen {
    const OPEN: &[u8] = b"-----BEGIN ";
    const NAME_MAX: usize = 40;
    if ahead.at(0)? != b'-' || !ahead.has(0, OPEN, false)? {
        return Ok(None);
    }
    let name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ';
    let end = ahead.run(OPEN.len(), NAME_MAX, name)?;
    let named = ahead.slice(OPEN.len(), end);
    let private = named.windows(11).any(|words| words == b"PRIVATE KEY");
    let closed = private && ahead.has(end, b"-----", false)?;
    Ok(closed.then(|| secret(end + 5, Tail::KeyBlock)))
}
