//! Where runs ask: before they begin, and before each generation. A run of an organization that has no hard cap asks
//! the database nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::{Amounts, Asker, CAP_REACHED, Claim, Held, reached_of};
use crate::billing::tiers::{Dimension, Plan, UNKNOWN_TIER, plan_of};
use crate::billing::{Billing, Meter, meter};
use crate::kit::error::UNAVAILABLE;
use crate::kit::{Error, OrgId, Result};

/// How long a generation waits for a database that is away, and between two times of asking.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// One run's way to its caps. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Gate(Option<Arc<Run>>);

#[derive(Debug)]
struct Run {
    billing: Billing,
    org: OrgId,
    run: Uuid,
    holds: AtomicBool,
}

impl Gate {
    /// One that lets everything pass: for replays, which use nothing.
    pub fn open() -> Self {
        Self(None)
    }

    /// Whether the run may hold a part of a cap, which its end gives back.
    pub fn holds(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|run| run.holds.load(Ordering::Relaxed))
    }

    /// The cap that forbids the run another generation, if one does.
    pub async fn refuses(&self, meter: &Meter, input_estimate: u64) -> Result<Option<Dimension>> {
        let Some(run) = self.0.clone() else {
            return Ok(None);
        };
        // Guests' threads do no I/O.
        let meter = meter.clone();
        let tasks = run.billing.inner.tasks.clone();
        let asked = tasks.spawn(async move { run.ask(&meter, input_estimate).await });
        asked.await.map_err(Error::internal)?
    }
}

impl Run {
    async fn ask(&self, meter: &Meter, input_estimate: u64) -> Result<Option<Dimension>> {
        let mut waited = Duration::ZERO;
        loop {
            match self.ask_once(meter, input_estimate).await {
                Err(error) if error.is(UNAVAILABLE) && waited < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                    waited += PAUSE;
                }
                Err(error) if error.is(CAP_REACHED) => return Ok(reached_of(&error)),
                Err(error) => return Err(error),
                Ok(()) => return Ok(None),
            }
        }
    }

    async fn ask_once(&self, meter: &Meter, input_estimate: u64) -> Result<()> {
        let plan = self.billing.plan(self.org).await?;
        if plan.hard().all(|cap| cap.dimension == Dimension::Runs) {
            return Ok(());
        }
        let prices = self.billing.prices();
        let mut so_far = Amounts::default();
        for entry in meter.entries() {
            so_far.input_tokens += i128::from(entry.tokens.input);
            so_far.output_tokens += i128::from(entry.tokens.output);
            so_far.cost += prices.of_entry(&entry).unwrap_or_default().0;
        }
        self.holds.store(true, Ordering::Relaxed);
        let asker = self.billing.asker(self.org, self.run, plan);
        let asks = asks(input_estimate);
        self.billing
            .claim(Claim::Call {
                asker,
                so_far,
                asks,
            })
            .await
    }
}

impl Billing {
    /// What an organization may use in a month.
    pub(in crate::billing) async fn plan(&self, org: OrgId) -> Result<Arc<Plan>> {
        let inner = &self.inner;
        if let Some(known) = inner.plans.get(&org).await {
            return Ok(known);
        }
        let find = async {
            let plan = plan_of(&inner.db, org, &inner.config.default_tier).await?;
            let plan = plan.ok_or_else(|| self.no_default())?;
            Ok(Arc::new(plan))
        };
        inner
            .plans
            .try_get_with(org, find)
            .await
            .map_err(|error: Arc<Error>| error.code.because(error.detail.clone()).caused_by(error))
    }

    pub(in crate::billing) fn no_default(&self) -> Error {
        UNKNOWN_TIER.because(format!(
            "`billing.default_tier` is `{:.64}`, and there is no such tier: make it with `bulkhead usage set-tier`, or \
             name one that `bulkhead usage tiers` lists.",
            self.inner.config.default_tier
        ))
    }

    /// What was given just now binds at once on this host; elsewhere, and without this, within half a second.
    pub fn forget_plans(&self) {
        self.inner.plans.invalidate_all();
    }

    /// Refuses to start where the tier that everybody has is not there.
    pub async fn check_tiers(&self) -> Result<()> {
        let inner = &self.inner;
        let nobody = OrgId(Uuid::nil());
        let plan = plan_of(&inner.db, nobody, &inner.config.default_tier).await?;
        plan.map(drop).ok_or_else(|| self.no_default())
    }

    /// Admits a run before anything of it is written, or refuses it with 402.
    pub async fn admit(&self, org: OrgId, run: Uuid, input_chars: u64) -> Result<Held> {
        let plan = self.plan(org).await?;
        if plan.hard().next().is_none() {
            return Ok(Held::Nothing);
        }
        let asker = self.asker(org, run, plan);
        let asks = asks(meter::estimate(input_chars));
        self.claim(Claim::Enter { asker, asks }).await?;
        Ok(Held::APart)
    }

    /// A run that was admitted did not begin.
    pub async fn give_back(&self, org: OrgId, run: Uuid, held: Held) {
        if held == Held::APart {
            let Ok(plan) = self.plan(org).await else {
                return;
            };
            let asker = self.asker(org, run, plan);
            // What is not given back now is found by the job.
            let _ = self.claim(Claim::Return { asker }).await;
        }
    }

    /// A run's way to its caps.
    pub fn gate(&self, org: OrgId, run: Uuid, held: Held) -> Gate {
        Gate(Some(Arc::new(Run {
            billing: self.clone(),
            org,
            run,
            holds: AtomicBool::new(held == Held::APart),
        })))
    }

    fn asker(&self, org: OrgId, run: Uuid, plan: Arc<Plan>) -> Asker {
        let at = self.inner.clock.now();
        Asker { org, run, at, plan }
    }

    async fn claim(&self, claim: Claim) -> Result<()> {
        let key = claim_key(&claim);
        let durable = self.inner.claims.push(key, claim).await?;
        durable.wait().await.map(drop)
    }
}

/// Claims of one run keep their order; organizations' runs take turns.
fn claim_key(claim: &Claim) -> u128 {
    match claim {
        Claim::Enter { asker, .. } | Claim::Call { asker, .. } | Claim::Return { asker } => {
            asker.run.as_u128()
        }
    }
}

/// At least one of each: whoever is admitted at one below a cap takes the last.
fn asks(input_estimate: u64) -> Amounts {
    Amounts {
        input_tokens: i128::from(input_estimate.max(1)),
        output_tokens: 1,
        cost: 1,
    }
}
