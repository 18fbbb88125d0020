//! The last days of an organization or an agent, read by one statement.

use time::{Date, Duration, OffsetDateTime, Time, UtcOffset};

use super::figures::{Day, Figures, Metrics, Top};
use super::store::{self, Of};
use crate::identity::Caller;
use crate::kit::{Error, Result};
use crate::runs::Runs;

/// Days where nobody asked for another number, and the most.
const DAYS: u16 = 30;
const DAYS_MAX: u16 = 90;
/// Agents in each list.
const TOP: usize = 10;

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
        let mut total = Figures::none();
        let mut by_day: Vec<Day> = (0..days)
            .map(|n| Day {
                day: (first + Duration::days(n.into())).to_string(),
                figures: Figures::none(),
            })
            .collect();
        let mut agents = Vec::new();
        for (of, sums) in store::sums(&self.inner.db, (caller.org, agent), (from, to)).await? {
            let figures = Figures::from(sums);
            match of {
                Of::All if figures.runs > 0 => total = figures,
                Of::All => {}
                Of::Day(day) => {
                    let place = usize::try_from((day - first).whole_days()).ok();
                    if let Some(day) = place.and_then(|place| by_day.get_mut(place)) {
                        day.figures = figures;
                    }
                }
                Of::Agent(agent) => agents.push(Top { agent, figures }),
            }
        }
        let of_all = agent.is_none();
        Ok(Metrics {
            from,
            to,
            currency: self.inner.billing.currency().to_owned(),
            total,
            days: by_day,
            top_by_use: of_all.then(|| top(&agents, |figures| figures.runs)),
            top_by_failure: of_all.then(|| top(&agents, |figures| figures.failed)),
        })
    }
}

/// The agents with the most, the first of them by name where they have the same; those without any are left out.
fn top(agents: &[Top], count: impl Fn(&Figures) -> i64) -> Vec<Top> {
    let mut agents: Vec<&Top> = agents.iter().filter(|a| count(&a.figures) > 0).collect();
    agents.sort_by_key(|top| (std::cmp::Reverse(count(&top.figures)), top.agent.clone()));
    agents.into_iter().take(TOP).cloned().collect()
}
