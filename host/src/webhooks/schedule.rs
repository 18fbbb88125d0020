//! When a delivery is tried: ten times over three days, each wait a little shorter or longer than the last endpoint's,
//! so that receivers that come back are not met by everybody at once. All on the injected clock.

use std::time::Duration;

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// How long before each attempt, since the one before.
pub const SCHEDULE: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    minutes(5),
    minutes(30),
    minutes(2 * 60),
    minutes(5 * 60),
    minutes(10 * 60),
    minutes(14 * 60),
    minutes(20 * 60),
    minutes(24 * 60),
];

/// Shorter or longer by at most this part.
pub const JITTER: f64 = 0.15;

/// How long to wait after `failed` attempts; none where that was the last. `chance` is 0 to 65,535. Who asked for more
/// time gets it.
pub fn wait(failed: usize, chance: u16, asked: Option<Duration>) -> Option<Duration> {
    let planned = SCHEDULE.get(failed)?;
    let part = f64::from(chance) / f64::from(u16::MAX);
    let planned = planned.mul_f64(1.0 - JITTER + 2.0 * JITTER * part);
    Some(planned.max(asked.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::{JITTER, SCHEDULE, wait};
    use std::time::Duration;

    #[test]
    fn waits_stay_within_the_jitter() {
        for (failed, planned) in SCHEDULE.iter().enumerate().skip(1) {
            let (least, most) = (planned.mul_f64(1.0 - JITTER), planned.mul_f64(1.0 + JITTER));
            assert_eq!(wait(failed, 0, None), Some(least));
            assert_eq!(wait(failed, u16::MAX, None), Some(most));
            let middle = wait(failed, u16::MAX / 2, None).unwrap();
            assert!(least < middle && middle < most);
        }
        assert_eq!(wait(SCHEDULE.len(), 0, Some(Duration::MAX)), None);
    }

    #[test]
    fn who_asks_for_more_time_gets_it() {
        let day = Duration::from_secs(86_400);
        assert_eq!(wait(1, 0, Some(day)), Some(day));
        assert!(wait(9, 0, Some(Duration::from_secs(1))).unwrap() > Duration::from_secs(70_000));
    }
}
