//! What is asked of caps, many at a time: one transaction locks the months it is about, counts, and answers each. What
//! a node has to ask at one time it asks together, so a busy organization costs a lock for each batch, not each run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{PgConnection, PgPool};
use time::Date;
use uuid::Uuid;

use super::mark::{Crossing, announce_crossings};
use super::store::{self, Hold, Month};
use super::{Amounts, Asker, reached};
use crate::billing::period::Period;
use crate::billing::tiers::{Cap, Dimension};
use crate::kit::commit::{Apply, Shape, Weigh, Writer};
use crate::kit::{Ids, OrgId, Result, Tasks};

/// What a run asks of its organization's caps, or gives back.
#[derive(Debug)]
pub(in crate::billing) enum Claim {
    /// To begin.
    Enter { asker: Asker, asks: Amounts },
    /// To generate once more, having used so much.
    Call {
        asker: Asker,
        so_far: Amounts,
        asks: Amounts,
    },
    /// It did not begin.
    Return { asker: Asker },
}

/// How claims are written.
pub(in crate::billing) struct Claims {
    ids: Ids,
}

/// A writer of claims. One lane: what waits goes into one transaction.
pub(in crate::billing) fn writer(db: &PgPool, tasks: &Tasks, ids: &Ids) -> Writer<Claim> {
    let shape = Shape {
        lanes: 1,
        batch: 512,
        queue: 4_096,
        bytes: 8 << 20,
    };
    Writer::start(Claims { ids: ids.clone() }, db, tasks, shape)
}

impl Weigh for Claim {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

impl Claim {
    fn asker(&self) -> &Asker {
        match self {
            Self::Enter { asker, .. } | Self::Call { asker, .. } | Self::Return { asker } => asker,
        }
    }

    fn month(&self) -> (OrgId, Date) {
        let asker = self.asker();
        (asker.org, Period::of(asker.at).start)
    }
}

/// What a batch knows under its locks, and what it is going to write.
struct Batch {
    months: BTreeMap<(OrgId, Date), Month>,
    holds: HashMap<(OrgId, Uuid), Hold>,
    put: BTreeMap<(OrgId, Uuid), Hold>,
    gone: BTreeSet<(OrgId, Uuid)>,
    crossings: Vec<Crossing>,
}

impl Apply for Claims {
    type Change = Claim;

    async fn apply<'a>(
        &'a self,
        tx: &'a mut PgConnection,
        batch: &'a [Claim],
    ) -> Result<Vec<Result<()>>> {
        let mut known = Batch::read(tx, batch).await?;
        let answers = batch.iter().map(|claim| known.answer(claim)).collect();
        let put: Vec<&Hold> = known.put.values().collect();
        store::put_holds(tx, &put).await?;
        let gone: Vec<(OrgId, Uuid)> = known.gone.iter().copied().collect();
        store::delete_holds(tx, &gone).await?;
        let months: Vec<&Month> = known
            .months
            .values()
            .filter(|month| month.changed)
            .collect();
        store::set_taken(tx, &months).await?;
        announce_crossings(tx, &self.ids, &known.crossings).await?;
        Ok(answers)
    }

    fn settled(&self, claim: &Claim, outcome: &Result<()>) {
        if let Err(error) = outcome
            && !error.is(super::CAP_REACHED)
        {
            let run = claim.asker().run;
            tracing::warn!(%run, cause = error.chain(), "a cap could not be asked");
        }
    }
}

impl Batch {
    async fn read(tx: &mut PgConnection, batch: &[Claim]) -> Result<Self> {
        let keys: BTreeSet<(OrgId, Date)> = batch.iter().map(Claim::month).collect();
        let keys: Vec<(OrgId, Date)> = keys.into_iter().collect();
        let mut months = store::lock_months(tx, &keys).await?;
        let caps = |claim: &Claim, runs: bool| {
            let mut hard = claim.asker().plan.hard();
            hard.any(|cap| (cap.dimension == Dimension::Runs) == runs)
        };
        // What is asked from here on sees what was committed before the locks were had.
        for claim in batch.iter().filter(|claim| caps(claim, true)) {
            let key = claim.month();
            if let Some(month) = months.get_mut(&key)
                && month.taken.is_none()
            {
                month.taken = Some(store::count_runs(tx, key).await?);
                month.changed = true;
            }
        }
        let measured: BTreeSet<(OrgId, Date)> = batch
            .iter()
            .filter(|claim| caps(claim, false))
            .map(Claim::month)
            .collect();
        if !measured.is_empty() {
            let measured: Vec<_> = measured.into_iter().collect();
            for (key, waiting) in store::waiting(tx, &measured).await? {
                if let Some(month) = months.get_mut(&key) {
                    month.used.add(waiting, 1);
                }
            }
        }
        let runs: Vec<_> = batch
            .iter()
            .map(|claim| (claim.asker().org, claim.asker().run))
            .collect();
        let holds = store::holds_of(tx, &runs).await?;
        Ok(Self {
            months,
            holds,
            put: BTreeMap::new(),
            gone: BTreeSet::new(),
            crossings: Vec::new(),
        })
    }

    fn answer(&mut self, claim: &Claim) -> Result<()> {
        let asker = claim.asker();
        let key = (asker.org, asker.run);
        let held = self.put.get(&key).or(self.holds.get(&key));
        let held = held.filter(|_| !self.gone.contains(&key)).cloned();
        match claim {
            // Asked before, in a commit whose answer was lost.
            Claim::Enter { .. } if held.is_some() => Ok(()),
            Claim::Enter { asks, .. } => {
                self.refuse(asker, Amounts::default(), true)?;
                let taken = self.take(asker);
                self.hold(asker, Hold::new(asker, taken, *asks));
                Ok(())
            }
            Claim::Call { so_far, asks, .. } => {
                // What it holds is counted in the month it held it for; its own use stands for it.
                let here = held.as_ref().filter(|held| held.period == claim.month().1);
                let before = here.map_or(Amounts::default(), |held| held.amounts);
                let mut own = *so_far;
                own.add(before, -1);
                self.refuse(asker, own, false)?;
                let mut amounts = *so_far;
                amounts.add(*asks, 1);
                if let Some(month) = self.months.get_mut(&claim.month()) {
                    month.used.add(before, -1);
                }
                let mut hold = Hold::new(asker, false, amounts);
                if let Some(held) = held {
                    (hold.entered, hold.taken) = (held.entered, held.taken);
                }
                self.hold(asker, hold);
                Ok(())
            }
            Claim::Return { .. } => {
                if let Some(held) = held {
                    self.give_back(&held);
                }
                Ok(())
            }
        }
    }

    /// Refuses where a hard cap is reached. `own` corrects what the asker itself counts for.
    fn refuse(&mut self, asker: &Asker, own: Amounts, entering: bool) -> Result<()> {
        let period = Period::of(asker.at);
        let Some(month) = self.months.get(&(asker.org, period.start)) else {
            return Ok(());
        };
        let used = |cap: &Cap| match cap.dimension {
            Dimension::Runs if !entering => None,
            Dimension::Runs => month.taken.map(i128::from),
            dimension => Some(month.used.of(dimension) + own.of(dimension)),
        };
        let full = asker.plan.hard().find_map(|cap| {
            let used = used(cap)?;
            (used >= cap.cap).then_some((*cap, used))
        });
        let Some((cap, used)) = full else {
            return Ok(());
        };
        self.crossings.push(Crossing::reached(asker, &cap, used));
        Err(reached(&cap, used, period))
    }

    /// Counts a run that is admitted; whether anything counts runs.
    fn take(&mut self, asker: &Asker) -> bool {
        let key = (asker.org, Period::of(asker.at).start);
        let Some(month) = self.months.get_mut(&key) else {
            return false;
        };
        let Some(taken) = month.taken.as_mut() else {
            return false;
        };
        *taken += 1;
        month.changed = true;
        let taken = i128::from(*taken);
        let runs = asker
            .plan
            .hard()
            .find(|cap| cap.dimension == Dimension::Runs);
        if let Some(cap) = runs {
            self.crossings.extend(Crossing::of(asker, cap, taken));
        }
        true
    }

    fn hold(&mut self, asker: &Asker, hold: Hold) {
        let key = (asker.org, asker.run);
        if let Some(month) = self.months.get_mut(&(hold.org, hold.period)) {
            month.used.add(hold.amounts, 1);
        }
        self.gone.remove(&key);
        self.put.insert(key, hold);
    }

    fn give_back(&mut self, held: &Hold) {
        let key = (held.org, held.run);
        self.put.remove(&key);
        self.gone.insert(key);
        if let Some(month) = self.months.get_mut(&(held.org, held.period)) {
            month.used.add(held.amounts, -1);
            if let Some(taken) = month.taken.as_mut().filter(|_| held.taken) {
                *taken -= 1;
                month.changed = true;
            }
        }
    }
}
