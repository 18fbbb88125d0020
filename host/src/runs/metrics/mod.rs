//! How an organization's runs went, day by day: counts, failures, latency, tokens and cost, and the agents most used
//! and most failing. Read from the rows of runs that ended; a day is one of UTC, and an empty one is there as zero.

pub mod http;
mod store;

use serde::Serialize;
use time::{Date, Duration, OffsetDateTime, Time, UtcOffset};
use utoipa::ToSchema;

use super::Runs;
use crate::billing::Money;
use crate::identity::Caller;
use crate::kit::{Error, OrgId, Result};

/// Days where nobody asked for another number, and the most.
const DAYS: u16 = 30;
const DAYS_MAX: u16 = 90;
/// Agents in each list.
const TOP: i64 = 10;

/// What runs of one day, one agent or the whole window came to. Runs count on the day they ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Figures {
    pub runs: i64,
    pub completed: i64,
    pub failed: i64,
    pub cancelled: i64,
    pub blocked: i64,
    /// Failed runs of all that ended; 0 where none did.
    pub failure_rate: f64,
    /// Milliseconds from the request to the end, waiting included; null where no run ended.
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    pub input_tokens: i64,
    pub output_tokens: i64,
    /// What it cost, exactly; null where nothing of it has a price.
    pub cost: Option<String>,
    /// Runs with a part that has no price and is not in `cost`.
    pub unpriced: i64,
}

/// One day of UTC.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Day {
    /// Such as `2026-11-20`.
    pub day: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// One agent's part.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Top {
    pub agent: String,
    #[serde(flatten)]
    pub figures: Figures,
}

/// A window of an organization's runs, or of one agent's.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Metrics {
    /// From this instant on, up to but not including the other: whole days, the last of them today.
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
    pub currency: String,
    pub total: Figures,
    /// Oldest first, none left out.
    pub days: Vec<Day>,
    /// Of an organization only: the agents with the most runs, at most ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_by_use: Option<Vec<Top>>,
    /// Of an organization only: the agents with the most failed runs, at most ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_by_failure: Option<Vec<Top>>,
}

/// What a statement answers of one group.
struct Sums {
    runs: i64,
    failed: i64,
    cancelled: i64,
    blocked: i64,
    p50_ms: Option<i64>,
    p95_ms: Option<i64>,
    input_tokens: i64,
    output_tokens: i64,
    cost_picos: i128,
    unpriced: i64,
}

impl From<Sums> for Figures {
    fn from(sums: Sums) -> Self {
        let ended = sums.runs.max(1) as f64;
        let priceless = sums.unpriced == sums.runs && sums.cost_picos == 0 && sums.runs > 0;
        Self {
            runs: sums.runs,
            completed: sums.runs - sums.failed - sums.cancelled - sums.blocked,
            failed: sums.failed,
            cancelled: sums.cancelled,
            blocked: sums.blocked,
            failure_rate: sums.failed as f64 / ended,
            p50_ms: sums.p50_ms,
            p95_ms: sums.p95_ms,
            input_tokens: sums.input_tokens,
            output_tokens: sums.output_tokens,
            cost: (!priceless).then(|| Money(sums.cost_picos).to_string()),
            unpriced: sums.unpriced,
        }
    }
}

impl Figures {
    /// Of a day on which nothing ended.
    fn none() -> Self {
        Self {
            cost: Some(Money(0).to_string()),
            ..Self::default()
        }
    }
}

impl Runs {
    /// The last `days` days of the caller's organization, today included; of one agent where it is named.
    pub async fn metrics(
        &self,
        caller: &Caller,
        agent: Option<&str>,
        days: Option<u16>,
    ) -> Result<Metrics> {
        let days = days.unwrap_or(DAYS);
        if !(1..=DAYS_MAX).contains(&days) {
            return Err(Error::invalid(format!("`days` must be 1 to {DAYS_MAX}.")));
        }
        let agent = match agent {
            Some(name) => Some(self.inner.agents.get(caller, name).await?.id),
            None => None,
        };
        let today = self.inner.clock.now().to_offset(UtcOffset::UTC).date();
        let first = today - Duration::days(i64::from(days) - 1);
        let midnight = |day: Date| OffsetDateTime::new_utc(day, Time::MIDNIGHT);
        let (from, to) = (midnight(first), midnight(today + Duration::DAY));
        // One snapshot, so that the days add up to the total.
        let mut tx = self.inner.db.begin().await?;
        store::one_snapshot(&mut tx).await?;
        let mut total = Figures::none();
        let mut by_day: Vec<Day> = (0..days)
            .map(|n| Day {
                day: (first + Duration::days(n.into())).to_string(),
                figures: Figures::none(),
            })
            .collect();
        for (day, sums) in store::by_day(&mut tx, (caller.org, agent), (from, to)).await? {
            let figures = Figures::from(sums);
            match day {
                None if figures.runs > 0 => total = figures,
                None => {}
                Some(day) => {
                    let place = usize::try_from((day - first).whole_days()).ok();
                    if let Some(day) = place.and_then(|place| by_day.get_mut(place)) {
                        day.figures = figures;
                    }
                }
            }
        }
        let mut tops = (None, None);
        if agent.is_none() {
            tops.0 = Some(top(&mut tx, (caller.org, false), (from, to)).await?);
            tops.1 = Some(top(&mut tx, (caller.org, true), (from, to)).await?);
        }
        tx.commit().await?;
        Ok(Metrics {
            from,
            to,
            currency: self.inner.billing.currency().to_owned(),
            total,
            days: by_day,
            top_by_use: tops.0,
            top_by_failure: tops.1,
        })
    }
}

async fn top(
    tx: &mut sqlx::PgConnection,
    (org, failing): (OrgId, bool),
    span: (OffsetDateTime, OffsetDateTime),
) -> Result<Vec<Top>> {
    let agents = store::top(tx, (org, failing), span, TOP).await?;
    let named = agents.into_iter().map(|(agent, sums)| Top {
        agent,
        figures: sums.into(),
    });
    Ok(named.collect())
}
