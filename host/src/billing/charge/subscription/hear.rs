//! What the provider tells: a subscription that began, changed or ended decides its organization's tier. Heard once, in
//! the order things happened in, and written with its audit row or not at all.

use serde_json::json;

use super::super::provider::{Change, Gives, Told};
use super::store;
use crate::billing::{Billing, tiers};
use crate::kit::{Code, Error, OrgId, Result};
use crate::ledger::audit::{Action, Actor, Entry, Target, record};

pub const UNKNOWN_CUSTOMER: Code =
    Code::new("unknown_customer", 422, "The customer is no organization's");

pub const UNKNOWN_PRICE: Code = Code::new("unknown_price", 422, "The price gives no tier");

/// The provider sends an event again for three days.
const EVENTS_KEPT: time::Duration = time::Duration::days(30);

impl Billing {
    /// Takes in what the provider told; whether it changed anything.
    pub async fn hear(&self, signature: &str, body: &[u8]) -> Result<bool> {
        let inner = &self.inner;
        let now = inner.clock.now();
        let told = inner.provider.hear(signature, body, now)?;
        let mut tx = inner.db.begin().await?;
        store::forget(&mut *tx, now - EVENTS_KEPT).await?;
        if !store::hear(&mut *tx, &told.event, now).await? {
            return Ok(false);
        }
        let Some(change) = &told.change else {
            tx.commit().await?;
            return Ok(false);
        };
        let Some(known) = store::lock_customer(&mut *tx, &change.customer).await? else {
            return Err(UNKNOWN_CUSTOMER.because(format!(
                "No organization is the customer `{:.64}`: subscribe the customers that the host made.",
                change.customer
            )));
        };
        let org = known.org;
        let is_new = known.heard_at.is_none_or(|heard| heard <= told.at);
        // The end of another subscription than the one that decides is none.
        let ends_another = change.gives == Gives::Default
            && known
                .subscription
                .is_some_and(|decides| decides != change.subscription);
        if !is_new || ends_another || change.gives == Gives::Nothing {
            tx.commit().await?;
            return Ok(false);
        }
        if let Err(error) = self.apply(&mut tx, org, &told, change).await {
            drop(tx);
            self.refused(org, (&told.event, change), &error).await?;
            return Err(error);
        }
        tx.commit().await?;
        inner.plans.invalidate(&org).await;
        Ok(true)
    }

    async fn apply(
        &self,
        tx: &mut sqlx::PgConnection,
        org: OrgId,
        told: &Told,
        change: &Change,
    ) -> Result<()> {
        let inner = &self.inner;
        let tier = match &change.gives {
            Gives::Tier(tier) => Some(tier.as_str()),
            Gives::Unknown(prices) => {
                let prices = prices.join("`, `");
                return Err(UNKNOWN_PRICE.because(format!(
                    "`billing.stripe.tiers` names none of `{prices:.200}`: name one, and let the provider tell it again."
                )));
            }
            Gives::Default | Gives::Nothing => None,
        };
        tiers::give(tx, org, (tier, "stripe"), &inner.clock).await?;
        let decides = tier.map(|_| change.subscription.as_str());
        store::heard(&mut *tx, org, (decides, told.at)).await?;
        let entry = self.entry(org, change);
        let detail = json!({ "tier": tier, "event": told.event });
        record(tx, &[entry.detail(&detail)]).await
    }

    /// What was refused stands in the log once, however often it is told.
    async fn refused(
        &self,
        org: OrgId,
        (event, change): (&str, &Change),
        why: &Error,
    ) -> Result<()> {
        let inner = &self.inner;
        let mut tx = inner.db.begin().await?;
        if store::refuse(&mut *tx, event, inner.clock.now()).await? {
            let entry = self.entry(org, change).refused(why.code.code);
            let detail = json!({ "event": event, "why": why.detail });
            record(&mut tx, &[entry.detail(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    fn entry(&self, org: OrgId, change: &Change) -> Entry {
        let target = Target::new("subscription", &change.subscription);
        let by = Actor::host("stripe");
        Entry::new(
            org,
            self.inner.clock.now(),
            by,
            Action::SubscriptionChanged,
            target,
        )
    }
}
