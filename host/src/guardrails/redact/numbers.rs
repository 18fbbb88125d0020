//! Numbers of cards and telephones.

use super::What;
use super::address::found;
use super::ahead::{Ahead, More};
use super::find::Seen;

/// Digits of a card.
const CARD: std::ops::RangeInclusive<usize> = 13..=19;

/// A card's number: 13 to 19 digits, alone or in groups, whose last is the check digit (Luhn).
pub(super) fn card(ahead: Ahead<'_>) -> Seen {
    let first = ahead.at(0)?;
    if !matches!(first, b'2'..=b'6') {
        return Ok(None);
    }
    let (mut at, mut digits, mut differ) = (0, 0, false);
    // The check sum where digits at even places count twice, and where those at odd places do.
    let mut sums = [0; 2];
    // Where it can end: behind each group, and behind the last digit. The last place that fits is taken.
    let mut end = None;
    let mut separator = None;
    loop {
        let byte = ahead.at(at)?;
        if byte.is_ascii_digit() {
            let digit = u32::from(byte - b'0');
            sums[digits % 2] += twice(digit);
            sums[1 - digits % 2] += digit;
            differ |= byte != first;
            digits += 1;
            at += 1;
            if digits > *CARD.end() {
                break;
            }
            continue;
        }
        // The check digit itself counts once.
        let checked = differ && sums[digits % 2].is_multiple_of(10);
        if !byte.is_ascii_alphabetic() && checked && CARD.contains(&digits) {
            end = Some(at);
        }
        let parts = matches!(byte, b' ' | b'-') && separator.is_none_or(|known| known == byte);
        if !parts || !ahead.at(at + 1)?.is_ascii_digit() {
            break;
        }
        separator = Some(byte);
        at += 1;
    }
    Ok(end.map(|at| found(What::Card, at)))
}

fn twice(digit: u32) -> u32 {
    if digit > 4 { digit * 2 - 9 } else { digit * 2 }
}

pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) => twice(digit),
        })
        .sum();
    sum.is_multiple_of(10)
}

/// A telephone number as people write it, cut into groups.
struct Dialled {
    len: usize,
    digits: usize,
    groups: Vec<usize>,
    /// The bytes between the groups.
    between: Vec<u8>,
}

/// Digits of a telephone number with its country; without.
const ABROAD: std::ops::RangeInclusive<usize> = 8..=15;
const AT_HOME: std::ops::RangeInclusive<usize> = 9..=11;

pub(super) fn phone(ahead: Ahead<'_>) -> Seen {
    let first = ahead.at(0)?;
    let plus = usize::from(first == b'+');
    if first == b':' || (plus == 1 && !matches!(ahead.at(1)?, b'1'..=b'9' | b'(')) {
        return Ok(None);
    }
    let Some(dialled) = dialled(ahead, plus)? else {
        return Ok(None);
    };
    let digit = ahead.slice(plus, plus + 2);
    let fits = if plus == 1 {
        ABROAD.contains(&dialled.digits)
    } else if digit.first() == Some(&b'0') {
        digit.get(1).is_some_and(|b| (b'1'..=b'9').contains(b)) && dialled.is_at_home()
    } else if digit == b"00" {
        false
    } else {
        dialled.is_north_american(ahead)
    };
    Ok(fits.then(|| found(What::Phone, dialled.len)))
}

/// Reads groups of digits with what people put between them.
fn dialled(ahead: Ahead<'_>, from: usize) -> Result<Option<Dialled>, More> {
    let mut dialled = Dialled {
        len: 0,
        digits: 0,
        groups: Vec::new(),
        between: Vec::new(),
    };
    let (mut at, mut open) = (from, false);
    loop {
        if ahead.at(at)? == b'(' && !open && dialled.groups.len() < 2 {
            (at, open) = (at + 1, true);
        }
        let group = ahead.run(at, 16, |b| b.is_ascii_digit())? - at;
        if group == 0 {
            break;
        }
        at += group;
        dialled.digits += group;
        dialled.groups.push(group);
        if dialled.digits > *ABROAD.end() {
            return Ok(None);
        }
        if open && ahead.at(at)? == b')' {
            (at, open) = (at + 1, false);
            dialled.between.push(b')');
        }
        dialled.len = at;
        let byte = ahead.at(at)?;
        if !matches!(byte, b' ' | b'-' | b'.' | b'/') {
            break;
        }
        // One mark between groups, or a space before a bracket.
        if !matches!(ahead.at(at + 1)?, b'0'..=b'9' | b'(') {
            break;
        }
        dialled.between.push(byte);
        at += 1;
    }
    let next = ahead.at(dialled.len)?;
    let whole = !open && !next.is_ascii_alphanumeric() && !matches!(next, b'@' | b'%' | b'_');
    Ok((whole && dialled.digits > 0).then_some(dialled))
}

impl Dialled {
    /// A leading nought, an area, and groups; not a date.
    fn is_at_home(&self) -> bool {
        let dated = matches!(self.groups.as_slice(), [2, 2, 4 | 2, ..]) && self.digits < 10
            || matches!(self.groups.as_slice(), [2, 2, 4, ..]);
        let slashes = self.between.iter().filter(|b| **b == b'/').count();
        let points = self.between.contains(&b'.');
        AT_HOME.contains(&self.digits)
            && self.groups.len() > 1
            && !dated
            && slashes <= 1
            && !points
            && self.groups[0] >= 2
    }

    /// `(212) 555-0147`, `212-555-0147`, `1-212-555-0147`: area and exchange begin with 2 to 9.
    fn is_north_american(&self, ahead: Ahead<'_>) -> bool {
        let digits: Vec<u8> = ahead
            .first(self.len)
            .iter()
            .copied()
            .filter(u8::is_ascii_digit)
            .collect();
        let (groups, digits) = match self.groups.as_slice() {
            [1, groups @ ..] if digits[0] == b'1' => (groups, &digits[1..]),
            groups => (groups, &digits[..]),
        };
        groups == [3, 3, 4] && digits[0] >= b'2' && digits[3] >= b'2' && self.is_even()
    }

    /// The same mark between all groups, but behind a bracket.
    fn is_even(&self) -> bool {
        let mut marks = self.between.iter().filter(|b| **b != b')');
        let first = marks.next().copied();
        let bracketed = self.between.contains(&b')');
        first != Some(b'/') && (bracketed || marks.all(|mark| Some(*mark) == first))
    }
}
