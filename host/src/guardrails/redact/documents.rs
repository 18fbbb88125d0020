//! Numbers of bank accounts (IBAN) and of people, as states give them: each by its pattern, and by its check digits where
//! it has some.

use super::What;
use super::address::found;
use super::ahead::{Ahead, More};
use super::find::Seen;
use super::numbers::luhn;

/// How long an IBAN is, by country.
const IBAN: [(&[u8; 2], usize); 76] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"XK", 20),
];

/// Letters and digits of a number, and the place behind it; its groups are parted by one space each.
fn grouped(ahead: Ahead<'_>, len: usize) -> Result<Option<(Vec<u8>, usize)>, More> {
    let (mut kept, mut at) = (Vec::with_capacity(len), 0);
    while kept.len() < len {
        let byte = ahead.at(at)?;
        if byte.is_ascii_alphanumeric() {
            kept.push(byte.to_ascii_uppercase());
        } else if byte != b' ' || kept.len() < 2 || !ahead.at(at + 1)?.is_ascii_alphanumeric() {
            return Ok(None);
        }
        at += 1;
    }
    let whole = !ahead.at(at)?.is_ascii_alphanumeric();
    Ok(whole.then_some((kept, at)))
}

pub(super) fn of_letters(ahead: Ahead<'_>) -> Seen {
    let head = [ahead.at(0)?, ahead.at(1)?];
    if !head.iter().all(u8::is_ascii_alphabetic) {
        return nie(ahead, head);
    }
    // Neither kind has two letters and then a word.
    let third = ahead.at(2)?;
    if !third.is_ascii_digit() && third != b' ' {
        return codice_fiscale(ahead);
    }
    if let Some(len) = iban(ahead, head)? {
        return Ok(Some(found(What::Iban, len)));
    }
    national_insurance(ahead)
}

fn iban(ahead: Ahead<'_>, head: [u8; 2]) -> Result<Option<usize>, More> {
    let head = head.map(|b| b.to_ascii_uppercase());
    let Some((_, len)) = IBAN.iter().find(|(country, _)| **country == head) else {
        return Ok(None);
    };
    let check = [ahead.at(2)?, ahead.at(3)?];
    if !check.iter().all(u8::is_ascii_digit) {
        return Ok(None);
    }
    let Some((number, end)) = grouped(ahead, *len)? else {
        return Ok(None);
    };
    let turned = number[4..].iter().chain(&number[..4]);
    let rest = turned.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    Ok((rest == 1).then_some(end))
}

/// `AB 12 34 56 C`, of the United Kingdom.
fn national_insurance(ahead: Ahead<'_>) -> Seen {
    let Some((number, end)) = grouped(ahead, 9)? else {
        return Ok(None);
    };
    let pair = &number[..2];
    let letters = !pair.iter().any(|b| b"DFIQUV".contains(b))
        && pair[1] != b'O'
        && ![*b"BG", *b"GB", *b"KN", *b"NK", *b"NT", *b"TN", *b"ZZ"].contains(&[pair[0], pair[1]]);
    let digits = number[2..8].iter().all(u8::is_ascii_digit);
    let fits = letters && digits && (b'A'..=b'D').contains(&number[8]);
    Ok(fits.then(|| found(What::NationalId, end)))
}

/// Sixteen letters and digits of Italy, the last a check letter.
fn codice_fiscale(ahead: Ahead<'_>) -> Seen {
    const SHAPE: &[u8; 16] = b"AAAAAA00A00A000A";
    const ODD: [u32; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let mut sum = 0;
    for (place, shape) in SHAPE.iter().enumerate() {
        let byte = ahead.at(place)?.to_ascii_uppercase();
        let fits = match shape {
            b'A' => byte.is_ascii_uppercase(),
            _ => byte.is_ascii_digit(),
        };
        if !fits {
            return Ok(None);
        }
        let value = if byte.is_ascii_digit() {
            byte - b'0'
        } else {
            byte - b'A'
        };
        match place {
            15 if sum % 26 != u32::from(value) => return Ok(None),
            _ if place % 2 == 0 => sum += ODD[usize::from(value)],
            _ => sum += u32::from(value),
        }
    }
    let whole = !ahead.at(16)?.is_ascii_alphanumeric();
    Ok(whole.then(|| found(What::NationalId, 16)))
}

/// The letter that checks a Spanish number.
fn dni_letter(number: u32) -> u8 {
    b"TRWAGMYFPDXBNJZSQVHLCKE"[(number % 23) as usize]
}

/// `X1234567L`, of foreigners in Spain.
fn nie(ahead: Ahead<'_>, head: [u8; 2]) -> Seen {
    let Some(first) = b"XYZ"
        .iter()
        .position(|b| *b == head[0].to_ascii_uppercase())
    else {
        return Ok(None);
    };
    let end = ahead.run(1, 8, |b| b.is_ascii_digit())?;
    if end != 8 {
        return Ok(None);
    }
    let number = value(ahead.slice(1, 8)) + first as u64 * 10_000_000;
    checked_by_letter(ahead, number, 8)
}

fn checked_by_letter(ahead: Ahead<'_>, number: u64, at: usize) -> Seen {
    let letter = ahead.at(at)?.to_ascii_uppercase();
    let fits = letter == dni_letter(u32::try_from(number).unwrap_or(0))
        && !ahead.at(at + 1)?.is_ascii_alphanumeric();
    Ok(fits.then(|| found(What::NationalId, at + 1)))
}

fn value(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

pub(super) fn of_digits(ahead: Ahead<'_>) -> Seen {
    if !ahead.at(0)?.is_ascii_digit() {
        return Ok(None);
    }
    let run = ahead.run(0, 9, |b| b.is_ascii_digit())?;
    match run {
        3 => match ahead.at(3)? {
            b'-' => social_security(ahead),
            b'.' => cpf(ahead),
            _ => Ok(None),
        },
        8 => checked_by_letter(ahead, value(ahead.first(8)), 8),
        6 => personnummer(ahead, 6),
        _ => nir(ahead),
    }
}

/// The digits at these places with these bytes between them; `None` where they are not.
fn shaped(ahead: Ahead<'_>, shape: &[u8]) -> Result<Option<Vec<u8>>, More> {
    let mut digits = Vec::with_capacity(shape.len());
    for (place, wanted) in shape.iter().enumerate() {
        let byte = ahead.at(place)?;
        match wanted {
            b'0' if byte.is_ascii_digit() => digits.push(byte - b'0'),
            b'0' => return Ok(None),
            _ if byte == *wanted => {}
            _ => return Ok(None),
        }
    }
    let next = ahead.at(shape.len())?;
    let goes_on = next.is_ascii_alphanumeric()
        || (next == b'-' && ahead.at(shape.len() + 1)?.is_ascii_digit());
    Ok((!goes_on).then_some(digits))
}

/// `123-45-6789`, of the United States: no area is 000, 666 or 9xx, no group 00, no serial 0000.
fn social_security(ahead: Ahead<'_>) -> Seen {
    let shape = b"000-00-0000";
    let Some(d) = shaped(ahead, shape)? else {
        return Ok(None);
    };
    let real = d[..3] != [0, 0, 0]
        && d[..3] != [6, 6, 6]
        && d[0] != 9
        && d[3..5] != [0, 0]
        && d[5..] != [0; 4];
    Ok(real.then(|| found(What::NationalId, shape.len())))
}

/// `123.456.789-09`, of Brazil.
fn cpf(ahead: Ahead<'_>) -> Seen {
    let shape = b"000.000.000-00";
    let Some(d) = shaped(ahead, shape)? else {
        return Ok(None);
    };
    let check = |len: usize| {
        let weights = (2..=len as u32 + 1).rev();
        let sum: u32 = d
            .iter()
            .zip(weights)
            .take(len)
            .map(|(d, w)| u32::from(*d) * w)
            .sum();
        match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    let fits = u32::from(d[9]) == check(9) && u32::from(d[10]) == check(10);
    let fits = fits && d.iter().any(|digit| *digit != d[0]);
    Ok(fits.then(|| found(What::NationalId, shape.len())))
}

/// `850101-1234`, of Sweden: a date and a check digit (Luhn).
fn personnummer(ahead: Ahead<'_>, len: usize) -> Seen {
    let Some(d) = shaped(ahead, b"000000-0000")? else {
        return Ok(None);
    };
    let two = |at: usize| d[at] * 10 + d[at + 1];
    let dated = (1..=12).contains(&two(2)) && (1..=31).contains(&two(4));
    Ok((dated && luhn(&d)).then(|| found(What::NationalId, len + 5)))
}

/// `1 85 05 78 006 084 36`, of France: sex, year, month, and a rest of 97; the spaces may be missing.
fn nir(ahead: Ahead<'_>) -> Seen {
    const DIGITS: usize = 15;
    if !matches!(ahead.at(0)?, b'1' | b'2') {
        return Ok(None);
    }
    let (mut digits, mut at) = (Vec::with_capacity(DIGITS), 0);
    while digits.len() < DIGITS {
        let byte = ahead.at(at)?;
        if byte.is_ascii_digit() {
            digits.push(byte);
        } else if byte != b' ' || !ahead.at(at + 1)?.is_ascii_digit() {
            return Ok(None);
        }
        at += 1;
    }
    let month = value(&digits[3..5]);
    let fits = (1..=12).contains(&month)
        && 97 - value(&digits[..13]) % 97 == value(&digits[13..])
        && !ahead.at(at)?.is_ascii_alphanumeric();
    Ok(fits.then(|| found(What::NationalId, at)))
}
