//! What is told of caps: that one is nearly reached, and that it is, once for each organization, month and dimension.
//! The row that says it was told and the notice are one transaction.

mod store;

use serde_json::json;
use sqlx::PgConnection;
use time::{Date, OffsetDateTime};

use self::store::Marked;
use super::Asker;
use crate::billing::Billing;
use crate::billing::period::Period;
use crate::billing::tiers::{Cap, Dimension, Plan};
use crate::billing::usage::{CapShown, Sums};
use crate::kit::{Ids, OrgId, Result};
use crate::ledger::outbox::{Notice, Topic, announce};

/// What happened to a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Warning,
    Reached,
}

/// A cap that is nearly reached, or reached.
#[derive(Clone, Debug)]
pub(super) struct Crossing {
    pub(super) org: OrgId,
    pub(super) period: Date,
    pub(super) dimension: Dimension,
    pub(super) kind: Kind,
    pub(super) cap: i128,
    pub(super) used: i128,
    pub(super) at: OffsetDateTime,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Reached => "reached",
        }
    }
}

impl Crossing {
    pub(super) fn reached(asker: &Asker, cap: &Cap, used: i128) -> Self {
        Self {
            org: asker.org,
            period: Period::of(asker.at).start,
            dimension: cap.dimension,
            kind: Kind::Reached,
            cap: cap.cap,
            used,
            at: asker.at,
        }
    }

    fn notice(&self, ids: &Ids) -> Notice {
        let topic = match self.kind {
            Kind::Warning => Topic::CapWarning,
            Kind::Reached => Topic::CapReached,
        };
        let data = json!({
            "dimension": self.dimension,
            "period": Period { start: self.period }.to_string(),
            "cap": self.dimension.show(self.cap),
            "used": self.dimension.show(self.used),
        });
        Notice::new(ids.next(), self.org, topic, self.at, &data)
    }

    /// What so much use of a cap is: nothing yet, a warning, or both.
    pub(super) fn of(asker: &Asker, cap: &Cap, used: i128) -> Vec<Self> {
        let mut crossings = Vec::new();
        if used.saturating_mul(100) >= cap.cap * i128::from(cap.warn_percent) {
            crossings.push(Self {
                kind: Kind::Warning,
                ..Self::reached(asker, cap, used)
            });
        }
        if used >= cap.cap {
            crossings.push(Self::reached(asker, cap, used));
        }
        crossings
    }
}

/// Writes down what happened, and tells what was not told before.
pub(super) async fn announce_crossings(
    tx: &mut PgConnection,
    ids: &Ids,
    crossings: &[Crossing],
) -> Result<()> {
    let new = store::insert(tx, crossings).await?;
    let notices: Vec<Notice> = new.iter().map(|crossing| crossing.notice(ids)).collect();
    announce(tx, &notices).await
}

impl Billing {
    /// Looks at the caps of months whose sums grew, in the transaction of the sums.
    pub(in crate::billing) async fn mark(
        &self,
        tx: &mut PgConnection,
        months: &[(OrgId, Date)],
    ) -> Result<()> {
        if months.is_empty() {
            return Ok(());
        }
        let (tier, now) = (&self.inner.config.default_tier, self.inner.clock.now());
        let crossings = store::crossed(tx, months, (tier, now)).await?;
        announce_crossings(tx, &self.inner.ids, &crossings).await
    }

    /// The caps of a plan, with what is used of them.
    pub(in crate::billing) async fn caps_shown(
        &self,
        tx: &mut PgConnection,
        (org, period): (OrgId, Period),
        (plan, total): (&Plan, &Sums),
    ) -> Result<Vec<CapShown>> {
        let marks = store::of(&mut *tx, org, period.start).await?;
        let taken = super::store::taken(tx, org, period.start).await?;
        let at = |dimension: Dimension, kind: Kind| {
            let mark = marks.iter().find(|mark: &&Marked| {
                mark.dimension == dimension.name() && mark.kind == kind.name()
            });
            mark.map(|mark| mark.at)
        };
        let shown = plan.caps.iter().map(|cap| {
            let dimension = cap.dimension;
            let used = match dimension {
                Dimension::Runs => taken.filter(|_| cap.hard).map_or(total.count, i128::from),
                Dimension::InputTokens => total.input_tokens,
                Dimension::OutputTokens => total.output_tokens,
                Dimension::Spend => total.cost.0,
            };
            CapShown {
                dimension,
                cap: dimension.show(cap.cap),
                used: dimension.show(used),
                overage: dimension.show((used - cap.cap).max(0)),
                hard: cap.hard,
                warned_at: at(dimension, Kind::Warning),
                reached_at: at(dimension, Kind::Reached),
            }
        });
        Ok(shown.collect())
    }
}
