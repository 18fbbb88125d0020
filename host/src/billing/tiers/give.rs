//! Making tiers and giving them: what the operator does, who holds the database, and the payment provider.

use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use super::store;
use super::{Cap, Dimension};
use crate::billing::period::Period;
use crate::billing::prices::Money;
use crate::kit::{Clock, Code, OrgId, Result};
use crate::ledger::audit::{Action, Actor, Entry, Target, record};

pub const UNKNOWN_TIER: Code = Code::new("unknown_tier", 422, "There is no such tier");

pub const CAP_REFUSED: Code = Code::new("cap_refused", 422, "The cap cannot be set");

/// A tier as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tier {
    pub name: String,
    pub caps: Vec<Shown>,
}

/// One of its caps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub dimension: Dimension,
    pub cap: i64,
    pub hard: bool,
    pub warn_percent: i32,
}

/// The operator's hand on tiers and plans.
#[derive(Clone, Debug)]
pub struct Tiers {
    db: PgPool,
    clock: Clock,
}

impl Tiers {
    pub fn new(db: PgPool, clock: Clock) -> Self {
        Self { db, clock }
    }

    pub async fn all(&self) -> Result<Vec<Tier>> {
        let mut tiers: Vec<Tier> = Vec::new();
        for (name, cap) in store::all(&self.db).await? {
            if tiers.last().is_none_or(|tier| tier.name != name) {
                tiers.push(Tier {
                    name,
                    caps: Vec::new(),
                });
            }
            if let (Some(tier), Some(cap)) = (tiers.last_mut(), cap) {
                tier.caps.push(Shown {
                    dimension: cap.dimension,
                    cap: i64::try_from(cap.cap).unwrap_or(i64::MAX),
                    hard: cap.hard,
                    warn_percent: cap.warn_percent,
                });
            }
        }
        Ok(tiers)
    }

    /// Makes a tier, or replaces its caps; what is not among them is unlimited.
    pub async fn put(&self, name: &str, caps: &[Cap]) -> Result<()> {
        check(name, caps)?;
        let mut tx = self.db.begin().await?;
        store::put(&mut tx, name, caps).await?;
        store::count_anew(&mut *tx, None, self.month()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives an organization a tier.
    pub async fn give(&self, org: OrgId, tier: &str) -> Result<()> {
        let mut tx = self.db.begin().await?;
        give(&mut tx, org, (Some(tier), "operator"), &self.clock).await?;
        let tier = Target::new("tier", tier);
        record(
            &mut tx,
            &[self.by_operator(org, Action::TierAssigned, tier)],
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Caps what an organization may spend in a month; `None` takes the cap away.
    pub async fn cap_spending(&self, org: OrgId, cap: Option<Money>) -> Result<()> {
        if cap == Some(Money(0)) {
            return Err(zero("spend"));
        }
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        store::set_spend_cap(&mut tx, org, (cap.map(Money::picos), now)).await?;
        store::count_anew(&mut *tx, Some(org), self.month()).await?;
        let amount = cap.map_or_else(|| "none".to_owned(), |cap| cap.to_string());
        let amount = Target::new("spend_cap", amount);
        record(
            &mut tx,
            &[self.by_operator(org, Action::SpendCapSet, amount)],
        )
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// That whoever holds the database did this.
    fn by_operator(&self, org: OrgId, action: Action, target: Target) -> Entry {
        Entry::new(org, self.clock.now(), Actor::operator(), action, target)
    }

    fn month(&self) -> time::Date {
        Period::of(self.clock.now()).start
    }
}

/// Gives a tier, or takes it back, in the transaction of whoever decided it.
pub(in crate::billing) async fn give(
    tx: &mut PgConnection,
    org: OrgId,
    (tier, source): (Option<&str>, &str),
    clock: &Clock,
) -> Result<()> {
    let now = clock.now();
    match tier {
        Some(tier) if !store::give_tier(tx, org, (tier, source, now)).await? => {
            return Err(UNKNOWN_TIER.because(format!(
                "There is no tier `{tier:.64}`; `bulkhead usage tiers` lists them."
            )));
        }
        Some(_) => {}
        None => store::take_tier(tx, org, (source, now)).await?,
    }
    store::count_anew(tx, Some(org), Period::of(now).start).await
}

fn check(name: &str, caps: &[Cap]) -> Result<()> {
    let mut letters = name.bytes();
    let named = letters.next().is_some_and(|b| b.is_ascii_lowercase())
        && name.len() <= 63
        && letters.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !named {
        return Err(CAP_REFUSED.because(
            "A tier's name begins with a letter and has at most 63 of a-z, 0-9 and `-`.",
        ));
    }
    for (at, cap) in caps.iter().enumerate() {
        if cap.cap <= 0 {
            return Err(zero(cap.dimension.name()));
        }
        if cap.dimension == Dimension::Spend {
            return Err(CAP_REFUSED.because(
                "Spending is capped for an organization: `bulkhead usage spend-cap`, not by a tier.",
            ));
        }
        if !(1..=100).contains(&cap.warn_percent) {
            return Err(CAP_REFUSED.because("A warning comes at 1 to 100 percent of the cap."));
        }
        if caps[..at]
            .iter()
            .any(|before| before.dimension == cap.dimension)
        {
            let twice = format!("`{}` is named twice.", cap.dimension.name());
            return Err(CAP_REFUSED.because(twice));
        }
    }
    Ok(())
}

fn zero(dimension: &str) -> crate::kit::Error {
    CAP_REFUSED.because(format!(
        "A cap of 0 {dimension} would admit nothing at all: give at least 1, or `none` for no cap. To shut an \
         organization out, revoke its keys."
    ))
}
