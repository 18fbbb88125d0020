//! What a canary may be worse in than stable. Rates are parts of one above stable's, since stable's is often nothing; times
//! and costs are so many times stable's. Pure: what is compared comes from `figures`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Figures, Verdict};
use crate::kit::{Error, Result};

/// Runs whose figures are looked at, the newest: no more can be asked for.
pub(super) const RUNS_MAX: i32 = 1_000;
const MIN_RUNS: i32 = 20;
const TIMES_MAX: f64 = 1_000.0;
/// Nobody feels less, and runs of no time at all have no multiple.
const P95_MS_LEAST: i64 = 10;
/// Sums of decimal fractions are not exact.
const ROUNDING: f64 = 1e-9;

/// When a canary is ended by the host: each is a figure of the canary against the same of stable.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Runs that the canary and stable must have had each before anything is decided: 1 to 1,000, and 20 where absent.
    #[serde(default = "min_runs")]
    pub min_runs: i32,
    /// How much larger its part of failed runs may be, from 0 to 1: with 0.05, up to 0.07 where stable's is 0.02.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_rate_above: Option<f64>,
    /// How much larger its part of runs ended by guardrails may be, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_rate_above: Option<f64>,
    /// How many times stable's its 95th percentile of run times may be, from 1 to 1,000; stable's counts as 10 ms at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_times: Option<f64>,
    /// How many times stable's its cost of a run may be, from 1 to 1,000. Runs without a price do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_times: Option<f64>,
}

fn min_runs() -> i32 {
    MIN_RUNS
}

impl Thresholds {
    /// Refuses what cannot be meant, by its field.
    pub(in crate::agents::channels) fn check(&self) -> Result<()> {
        let mut refused = Error::unprocessable("The canary cannot be judged so.");
        if !(1..=RUNS_MAX).contains(&self.min_runs) {
            refused = refused.field("/judge/min_runs", "must be 1 to 1000");
        }
        let rates = [
            ("/judge/failure_rate_above", self.failure_rate_above),
            ("/judge/block_rate_above", self.block_rate_above),
        ];
        for (pointer, _) in rates.iter().filter(|(_, rate)| outside(*rate, 0.0, 1.0)) {
            refused = refused.field(
                *pointer,
                "must be 0 to 1: how much larger than stable's the canary's part may be",
            );
        }
        let times = [
            ("/judge/p95_times", self.p95_times),
            ("/judge/cost_times", self.cost_times),
        ];
        for (pointer, _) in times.iter().filter(|(_, t)| outside(*t, 1.0, TIMES_MAX)) {
            refused = refused.field(
                *pointer,
                "must be 1 to 1000: how many times stable's the canary's may be",
            );
        }
        let all = rates.iter().chain(&times);
        if all.clone().all(|(_, value)| value.is_none()) {
            let names = all.filter_map(|(pointer, _)| pointer.rsplit('/').next());
            let names: Vec<&str> = names.collect();
            refused = refused.field(
                "/judge",
                format!("name at least one of {}", names.join(", ")),
            );
        }
        match refused.fields.is_empty() {
            true => Ok(()),
            false => Err(refused),
        }
    }

    /// How the canary stands, and in a sentence each what it passes.
    pub(super) fn judge(&self, canary: &Figures, stable: &Figures) -> (Verdict, Vec<String>) {
        let min = i64::from(self.min_runs);
        if canary.runs < min || stable.runs < min {
            return (Verdict::Waiting, Vec::new());
        }
        let rates = [
            (
                "failure rate",
                self.failure_rate_above,
                (canary.failure_rate, stable.failure_rate),
            ),
            (
                "block rate",
                self.block_rate_above,
                (canary.block_rate, stable.block_rate),
            ),
        ];
        let mut passed = Vec::new();
        for (what, above, (is, was)) in rates {
            if let Some(above) = above.filter(|above| is > was + above + ROUNDING) {
                passed.push(format!(
                    "the {what} is {is:.3}, stable's {was:.3}, and {above} above it was allowed"
                ));
            }
        }
        if let (Some(times), Some(is), Some(was)) = (self.p95_times, canary.p95_ms, stable.p95_ms)
            && is as f64 > was.max(P95_MS_LEAST) as f64 * times + ROUNDING
        {
            passed.push(format!(
                "the 95th percentile is {is} ms, stable's {was} ms, and {times} times it was allowed"
            ));
        }
        if let (Some(times), Some(is), Some(was)) =
            (self.cost_times, canary.cost(min), stable.cost(min))
            && is.0 as f64 > was.0 as f64 * times + ROUNDING
        {
            passed.push(format!(
                "a run costs {is}, stable's {was}, and {times} times it was allowed"
            ));
        }
        match passed.is_empty() {
            true => (Verdict::Within, passed),
            false => (Verdict::Beyond, passed),
        }
    }
}

/// Nothing else is refused by a comparison that no value passes.
fn outside(value: Option<f64>, least: f64, most: f64) -> bool {
    value.is_some_and(|value| !(least..=most).contains(&value))
}

#[cfg(test)]
mod tests {
    use super::{Figures, Thresholds, Verdict};
    use crate::billing::Money;

    const NONE: Thresholds = Thresholds {
        min_runs: 10,
        failure_rate_above: None,
        block_rate_above: None,
        p95_times: None,
        cost_times: None,
    };

    fn figures(runs: i64, failed: i64, blocked: i64, p95_ms: i64, picos: i128) -> Figures {
        Figures::new((runs, failed, blocked), Some(p95_ms), (runs, Money(picos)))
    }

    fn verdict(thresholds: Thresholds, canary: &Figures, stable: &Figures) -> Verdict {
        let (verdict, passed) = thresholds.judge(canary, stable);
        assert_eq!(passed.is_empty(), verdict != Verdict::Beyond, "{passed:?}");
        verdict
    }

    #[test]
    fn each_is_passed_beyond_its_value_and_not_at_it() {
        let stable = figures(100, 10, 20, 40, 100_000);
        let rate = Thresholds {
            failure_rate_above: Some(0.7),
            ..NONE
        };
        let blocked = Thresholds {
            block_rate_above: Some(0.1),
            ..NONE
        };
        let p95 = Thresholds {
            p95_times: Some(1.5),
            ..NONE
        };
        let cost = Thresholds {
            cost_times: Some(2.0),
            ..NONE
        };
        for (thresholds, at, beyond) in [
            (rate, figures(10, 8, 0, 0, 0), figures(10, 9, 0, 0, 0)),
            (blocked, figures(10, 0, 3, 0, 0), figures(10, 0, 4, 0, 0)),
            (p95, figures(10, 0, 0, 60, 0), figures(10, 0, 0, 61, 0)),
            (
                cost,
                figures(10, 0, 0, 0, 20_000),
                figures(10, 0, 0, 0, 20_010),
            ),
        ] {
            assert_eq!(verdict(thresholds, &at, &stable), Verdict::Within);
            assert_eq!(verdict(thresholds, &beyond, &stable), Verdict::Beyond);
            assert_eq!(verdict(NONE, &beyond, &stable), Verdict::Within);
        }
    }

    #[test]
    fn too_few_runs_of_either_decide_nothing() {
        let strict = Thresholds {
            failure_rate_above: Some(0.0),
            ..NONE
        };
        let (few, many) = (figures(9, 9, 0, 0, 0), figures(10, 0, 0, 0, 0));
        assert_eq!(verdict(strict, &few, &many), Verdict::Waiting);
        assert_eq!(verdict(strict, &many, &few), Verdict::Waiting);
        let failing = figures(10, 10, 0, 0, 0);
        assert_eq!(verdict(strict, &failing, &many), Verdict::Beyond);
    }

    #[test]
    fn what_has_no_price_is_not_compared_and_what_takes_no_time_has_no_multiple() {
        let both = Thresholds {
            p95_times: Some(1.0),
            cost_times: Some(1.0),
            ..NONE
        };
        let free = Figures::new((10, 0, 0), Some(0), (9, Money(0)));
        let dear = figures(10, 0, 0, 10, 1_000_000);
        assert_eq!(verdict(both, &dear, &free), Verdict::Within);
        let free = figures(10, 0, 0, 0, 0);
        assert_eq!(verdict(both, &dear, &free), Verdict::Beyond);
    }
}
