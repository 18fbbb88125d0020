//! Months of UTC: what caps, sums and prices are counted by. Half-open: an instant belongs to exactly one.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

use crate::kit::{Error, Result};

/// One month, by its first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    pub start: Date,
}

impl Period {
    /// The month an instant is in.
    pub fn of(at: OffsetDateTime) -> Self {
        let day = at.to_offset(UtcOffset::UTC).date();
        Self {
            start: day.replace_day(1).unwrap_or(day),
        }
    }

    /// From `2026-11`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("`period` is a month of UTC, such as `2026-11`.");
        let (year, month) = text
            .split_once('-')
            .filter(|(year, month)| {
                let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
                year.len() == 4 && month.len() == 2 && digits(year) && digits(month)
            })
            .ok_or_else(wrong)?;
        let month: u8 = month.parse().map_err(|_| wrong())?;
        let month = Month::try_from(month).map_err(|_| wrong())?;
        let year = year.parse().map_err(|_| wrong())?;
        let start = Date::from_calendar_date(year, month, 1).map_err(|_| wrong())?;
        Ok(Self { start })
    }

    /// The first day of the next one.
    pub fn next(self) -> Date {
        let (year, month) = (self.start.year(), self.start.month());
        let year = if month == Month::December {
            year + 1
        } else {
            year
        };
        Date::from_calendar_date(year, month.next(), 1).unwrap_or(Date::MAX)
    }

    pub fn begins(self) -> OffsetDateTime {
        OffsetDateTime::new_utc(self.start, Time::MIDNIGHT)
    }

    pub fn ends(self) -> OffsetDateTime {
        OffsetDateTime::new_utc(self.next(), Time::MIDNIGHT)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:04}-{:02}",
            self.start.year(),
            u8::from(self.start.month())
        )
    }
}

#[cfg(test)]
mod tests {
    use time::macros::{date, datetime};

    use super::Period;

    #[test]
    fn a_month_is_half_open() {
        let november = Period {
            start: date!(2026 - 11 - 01),
        };
        assert_eq!(Period::of(datetime!(2026-11-01 00:00 UTC)), november);
        assert_eq!(
            Period::of(datetime!(2026-11-30 23:59:59.999999 UTC)),
            november
        );
        assert_ne!(Period::of(datetime!(2026-12-01 00:00 UTC)), november);
        assert_eq!(Period::of(datetime!(2026-12-01 00:30 +01:00)), november);
        assert_eq!(
            (november.next(), november.to_string().as_str()),
            (date!(2026 - 12 - 01), "2026-11")
        );
        let december = Period::parse("2026-12").unwrap();
        assert_eq!(december.next(), date!(2027 - 01 - 01));
        for wrong in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "26-11",
            "2026-1",
            "2026-11-01",
            "2026-١١",
            "+026-11",
        ] {
            assert!(Period::parse(wrong).is_err(), "{wrong}");
        }
    }
}
