//! The last days of an organization or an agent, read in one snapshot.

use time::{Date, Duration, OffsetDateTime, Time, UtcOffset};

use super::figures::{Day, Figures, Metrics, Top};
use super::store;
use crate::identity::Caller;
use crate::kit::{Error, OrgId, Result};
use crate::runs::Runs;

/// Days where nobody asked for another number, and the most.
const DAYS: u16 = 30;
const DAYS_MAX: u16 = 90;
/// Agents in each list.
const TOP: i64 = 10;

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
