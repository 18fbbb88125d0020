//! What runs of one version came to. Cancelled ones do not count: whoever cancels says nothing of the version.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{Judged, Watch, store};
use crate::agents::channels::pointers::Pointers;
use crate::agents::{AgentId, Agents};
use crate::billing::Money;
use crate::kit::{OrgId, Result};

/// What runs of one version came to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Figures {
    /// Runs that ended without being cancelled, the newest 1,000 at most.
    pub runs: i64,
    pub failed: i64,
    pub blocked: i64,
    /// Parts of those runs; 0 where there are none.
    pub failure_rate: f64,
    pub block_rate: f64,
    /// Milliseconds from the request to the end, waiting included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<i64>,
    /// What a run cost, of those that have a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_per_run: Option<String>,
    /// Runs that have a price, and what they cost together.
    #[serde(skip)]
    priced: (i64, Money),
}

impl Figures {
    pub(super) fn new(
        (runs, failed, blocked): (i64, i64, i64),
        p95_ms: Option<i64>,
        priced: (i64, Money),
    ) -> Self {
        let part = |of: i64| of as f64 / runs.max(1) as f64;
        let mut figures = Self {
            runs,
            failed,
            blocked,
            failure_rate: part(failed),
            block_rate: part(blocked),
            p95_ms,
            cost_per_run: None,
            priced,
        };
        figures.cost_per_run = figures.cost(1).map(|cost| cost.to_string());
        figures
    }

    /// What a run cost, where so many have a price.
    pub(super) fn cost(&self, min: i64) -> Option<Money> {
        let (runs, cost) = self.priced;
        (runs >= min.max(1)).then(|| Money(cost.0 / i128::from(runs)))
    }
}

impl Agents {
    /// How a canary that is watched stands beside stable.
    pub(in crate::agents::channels) async fn judged(
        &self,
        which: (OrgId, AgentId),
        (at, canary, watch): (&Pointers, i32, &Watch),
    ) -> Result<Judged> {
        let since = watch.since;
        let canary = store::of_canary(&self.db, which, canary, since).await?;
        let of_stable = |from: OffsetDateTime| store::of_stable(&self.db, which, at.stable, from);
        let mut stable = of_stable(since).await?;
        if stable.runs < i64::from(watch.thresholds.min_runs) {
            let before = std::time::Duration::from_millis(self.config.judge_before_ms);
            stable = of_stable(since - before).await?;
        }
        let (verdict, passed) = watch.thresholds.judge(&canary, &stable);
        Ok(Judged {
            since,
            verdict,
            passed,
            canary,
            stable,
        })
    }
}
