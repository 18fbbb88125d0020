//! Money as whole picos (millionths of a millionth of the currency's unit): one token at one unit per million is
//! 1,000,000 picos, so every price of at most six decimals is exact. No floats anywhere.

use std::fmt;
use std::str::FromStr;

/// Picos of one unit of the currency.
const UNIT: i128 = 1_000_000_000_000;
/// Decimals that are kept.
const DECIMALS: usize = 12;
/// Decimals a price or a cap may have: of a price per million, the last of them is one pico.
const DECIMALS_MAX: usize = 6;
/// Digits before the point; a bigint of picos holds them.
const DIGITS_MAX: usize = 6;

/// An amount of the host's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(pub i128);

impl Money {
    /// What `count` of something cost at this price for a million.
    pub fn per_million(self, count: u64) -> Self {
        // A price has at most six decimals, so this divides without a rest.
        Self((self.0 / 1_000_000).saturating_mul(i128::from(count)))
    }

    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// As the database keeps one run's: at the most what a bigint holds, over nine million units.
    pub fn picos(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Money {
    /// Exact, with at least two decimals: `0.0012345`, `3.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.abs() / UNIT, self.0.abs() % UNIT);
        let decimals = format!("{rest:0DECIMALS$}");
        let kept = decimals.trim_end_matches('0').len().max(2);
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{}", &decimals[..kept])
    }
}

impl FromStr for Money {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write a decimal number with at most 6 digits before and 6 after the point, such as \"0.25\"";
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, DIGITS_MAX) || !digits(rest, DECIMALS_MAX) {
            return Err(WRONG);
        }
        let whole: i128 = whole.parse().map_err(|_| WRONG)?;
        let rest: i128 = format!("{rest:0<DECIMALS$}").parse().map_err(|_| WRONG)?;
        Ok(Self(whole * UNIT + rest))
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    #[test]
    fn amounts_are_exact() {
        for (text, picos, shown) in [
            ("0.25", 250_000_000_000, "0.25"),
            ("3", 3_000_000_000_000, "3.00"),
            ("0.000001", 1_000_000, "0.000001"),
            ("999999.999999", 999_999_999_999_000_000, "999999.999999"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!((money, money.to_string().as_str()), (Money(picos), shown));
        }
        let cents: Money = "0.0375".parse().unwrap();
        assert_eq!(cents.per_million(1).to_string(), "0.0000000375");
        assert_eq!(cents.per_million(3_000_000).to_string(), "0.1125");
        assert_eq!(Money(-1).to_string(), "-0.000000000001");
        for wrong in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "1e3",
            "1,5",
            "0.1234567",
            "1234567",
            "a",
            "١",
        ] {
            assert!(wrong.parse::<Money>().is_err(), "{wrong}");
        }
    }
}
