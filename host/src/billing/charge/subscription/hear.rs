//! What the provider tells: a subscription that began, changed or ended decides its organization's tier. Heard once, in
//! the order things happened in, and written with its audit row or not at all.

use serde_json::json;
use sqlx::PgConnection;

use super::super::provider::{About, Change, Gives, Told};
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
        let About::Subscription(change) = &told.about else {
            tell(&told);
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
        if !decides(&mut tx, known, change).await? {
            tx.commit().await?;
            count("subscription");
            return Ok(false);
        }
        if let Err(error) = self.apply(&mut tx, org, &told.event, change).await {
            drop(tx);
            self.refused(org, (&told.event, change), &error).await?;
            return Err(error);
        }
        tx.commit().await?;
        count("subscription");
        inner.plans.invalidate(&org).await;
        Ok(true)
    }

    async fn apply(
        &self,
        tx: &mut PgConnection,
        org: OrgId,
        event: &str,
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
        store::heard(&mut *tx, org, (decides, change.at)).await?;
        let entry = self.entry(org, change);
        let detail = json!({ "tier": tier, "event": event });
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

/// Whether the change decides the tier; an end is remembered in any case.
async fn decides(tx: &mut PgConnection, known: store::Known, change: &Change) -> Result<bool> {
    let is_new = known.heard_at.is_none_or(|heard| heard <= change.at);
    let subscription = change.subscription.as_str();
    Ok(match &change.gives {
        Gives::Nothing => false,
        // The end of one that never decided takes nothing: the tier is the operator's, or another subscription's.
        Gives::Default => {
            store::end(&mut *tx, subscription, change.at).await?;
            is_new && known.subscription.as_deref() == Some(subscription)
        }
        // Of the same second, or told too late: what ended stays ended.
        Gives::Tier(_) | Gives::Unknown(_) => {
            is_new && !store::ended(&mut *tx, subscription, change.at).await?
        }
    })
}

/// What is about no subscription: a person hears of usage that the provider does not count.
fn tell(told: &Told) {
    match &told.about {
        About::Uncounted(said) => {
            tracing::error!(
                event = told.event,
                said,
                "the payment provider took usage that it does not count"
            );
            count("uncounted");
        }
        About::Other | About::Subscription(_) => count("other"),
    }
}

fn count(about: &'static str) {
    metrics::counter!("bulkhead_billing_events_total", "about" => about).increment(1);
}
