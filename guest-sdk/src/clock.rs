//! The run's clock: it stands still while the guest computes and moves only with recorded answers.
//! Authors and the agent loop read time here; `std::time` shows the same clock.

use std::fmt;
use std::time::Duration;

use crate::host;

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z. Prints as RFC 3339 in UTC.
///
/// ```
/// use bulkhead_sdk::clock::Instant;
///
/// let instant = Instant::from_unix_milliseconds(951_782_400_250);
/// assert_eq!(instant.to_string(), "2000-02-29T00:00:00.250Z");
/// assert_eq!(instant.unix_milliseconds(), 951_782_400_250);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment this many milliseconds after the start of 1970.
    #[must_use]
    pub const fn from_unix_milliseconds(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// The milliseconds since the start of 1970.
    #[must_use]
    pub const fn unix_milliseconds(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; nothing if `earlier` is later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use bulkhead_sdk::clock::Instant;
    ///
    /// let (noon, later) = (Instant::from_unix_milliseconds(0), Instant::from_unix_milliseconds(1500));
    /// assert_eq!(later.since(noon), Duration::from_millis(1500));
    /// assert_eq!(noon.since(later), Duration::ZERO);
    /// ```
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0 / 1000, self.0 % 1000);
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        write!(f, ".{milliseconds:03}Z")
    }
}

/// The time of the last recorded answer, or of the run's start.
///
/// ```
/// use bulkhead_sdk::{Outcome, Result, Turn, clock, mock::MockHost, output};
///
/// fn tell(_: Turn) -> Result<Outcome> {
///     output::text(&clock::now().to_string());
///     Ok(Outcome::EndTurn)
/// }
///
/// let transcript = MockHost::new().clock(1_000).run(tell, "what time is it?");
/// assert_eq!(transcript.text(), "1970-01-01T00:00:01.000Z");
/// ```
#[must_use]
pub fn now() -> Instant {
    host::now()
}

/// Waits without using fuel, at most 24 hours and never beyond the run's deadline, and answers the new time.
///
/// ```
/// use std::time::Duration;
/// use bulkhead_sdk::{Outcome, Result, Turn, clock, mock::MockHost};
///
/// fn nap(turn: Turn) -> Result<Outcome> {
///     let woken = clock::sleep(Duration::from_secs(60));
///     assert_eq!(woken.since(turn.started_at()), Duration::from_secs(60));
///     Ok(Outcome::EndTurn)
/// }
///
/// MockHost::new().run(nap, "take a nap").outcome.unwrap();
/// ```
pub fn sleep(duration: Duration) -> Instant {
    host::sleep(duration)
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}
